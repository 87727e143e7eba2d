"""The `pullquote` command, a module for each thing that people come to it for."""
