"""The pinned source distributions whose documentation quality is measured on, or learned from."""

from __future__ import annotations

from dataclasses import dataclass

SETS = ("projects", "packages", "tools")
"""Sets of questions that quality is measured on."""

TRAINING = "training"
"""The documents that the cross-encoder's questions are about (benchmarks/reader)."""


@dataclass(frozen=True, slots=True)
class Project:
    """A pinned source distribution and what of it is a set's documents."""

    set: str
    name: str
    version: str
    origin: str
    """`pypi` or `npm`."""
    sha256: str
    """Of the archive."""
    files: int
    """Markdown files that come out of it."""
    without: tuple[str, ...] = ()
    """Paths in the archive that are left out, with all below them: no documentation of the project."""

    @property
    def archive(self) -> str:
        """Return the name of the archive: a scope is no part of it, and `-` is `_` in newer ones of PyPI."""
        if self.origin == "npm":
            return f"{self.name.rpartition('/')[2]}-{self.version}.tgz"
        return f"{self.name.replace('-', '_')}-{self.version}.tar.gz"

    @property
    def folder(self) -> str:
        """Return the name of the folder of its documents."""
        return self.name.removeprefix("@").replace("/", "-")


PROJECTS = (
    Project(
        *("projects", "hatch", "1.18.2", "pypi"),
        sha256="7f365f1a5b8f1a8162813daed9bf9fce83f15dc933fc99c6d04cbb942e64f4d0",
        files=85,
    ),
    Project(
        *("projects", "pandera", "0.35.0", "pypi"),
        sha256="d2d11bbf9b4dd19c227caf31ac57ac28a679bbe18577f9496dcf809143232389",
        files=63,
        without=("specs", "adrs", ".github", "AGENTS.md"),
    ),
    Project(
        *("projects", "fastify", "5.12.8", "npm"),
        sha256="459048aabd9311309f4f95b36e8ca065e3a4613ded292bcf50442926931e4748",
        files=47,
    ),
    Project(
        *("packages", "jupyterhub", "6.1.1", "pypi"),
        sha256="1d7b6713b31ebd76d61a13c202f9323e66c4e8cf731adc5d3052bb6ee6178a95",
        files=101,
        without=("share", ".github", "AGENTS.md", "CLAUDE.md"),
    ),
    Project(
        *("packages", "sqlmesh", "0.99.0", "pypi"),
        sha256="5247ba3656641f0ce2846f755cc6ff3374dd6afe00dca5ddef383014b47d6cbf",
        files=70,
        without=(".github", "AGENTS.md", "CLAUDE.md"),
    ),
    Project(
        *("packages", "undici", "7.30.2", "npm"),
        sha256="2bf5b1c41724614729cb383f22c64506b6665869d385de862752c33763fcce1b",
        files=45,
    ),
    Project(
        *("tools", "pino", "10.4.0", "npm"),
        sha256="f745d3dee0bddd39f11226335ee6dbbe3d49cc037168f2b31a8cdbe78f0e6216",
        files=17,
    ),
    Project(
        *("tools", "semantic-release", "24.2.9", "npm"),
        sha256="37a1dd9c15fef54250771ec2ff42c43815af625da85272d4faa593a59200b790",
        files=36,
    ),
    Project(
        *("tools", "@redocly/cli", "2.77.0", "npm"),
        sha256="407a02e97db09453466dad4862078ffd9645bfca41f312612b599a5269602bad",
        files=18,
    ),
    Project(
        *("training", "black", "26.5.1", "pypi"),
        sha256="dd321f668053961824bcc1be1cc1df748b2d7e4fa28086b08331e577b0100a73",
        files=33,
        without=(".github",),
    ),
    Project(
        *("training", "copier", "9.9.1", "pypi"),
        sha256="244bdf3ec5eb460dbe45ef22b825e9897b0bcc9d94ca96dad3ced3d786cfeab7",
        files=21,
    ),
    Project(
        *("training", "conda-lock", "4.0.3", "pypi"),
        sha256="455efdfddb8e03cb44f2c4b7921e0ddc9d30e949c90611569dbe5aa652eb3079",
        files=22,
    ),
    Project(
        *("training", "cibuildwheel", "4.3.5", "pypi"),
        sha256="43c30292b9ec8d08a8eb3873436e64d4d1434c5dcbc855fb0afbfc69732048f1",
        files=17,
        without=("test",),
    ),
    Project(
        *("training", "jupyter-book", "2.1.7", "pypi"),
        sha256="e58de6026bb362c7e2e20a1703257a830645ea5521ce06a24018711643d203db",
        files=42,
    ),
    Project(
        *("training", "pyinfra", "3.9.2", "pypi"),
        sha256="035a94c7d0a78059c86279f9292242ddf8b883959296e033aa0033db7f14e517",
        files=39,
        without=(".github",),
    ),
    Project(
        *("training", "singer-sdk", "0.55.0b7", "pypi"),
        sha256="938e10e0377ca2422782d805a801cd15da1ec6661cfaa8dec4b007bef08728bf",
        files=52,
        without=("tests",),
    ),
    Project(
        *("training", "outlines", "1.3.3", "pypi"),
        sha256="5dcd1b9d261ced1337042d6b1fd2bb4e706a09a0121957bcd9eb331d1ea6940c",
        files=71,
        without=(".github",),
    ),
    Project(
        *("training", "griffe", "2.4.1", "pypi"),
        sha256="766123e26ec35b2ead63202e9e43ec309d876085d571b7df288256cd6fe4a3ef",
        files=85,
    ),
    Project(
        *("training", "bump-my-version", "1.8.1", "pypi"),
        sha256="6457f2a1b964df60ff7d532e61d41422f19dbf936c9752bdff25d79f63768069",
        files=47,
        without=(
            ".github",
            "tests",
        ),
    ),
    Project(
        *("training", "jupyterlab", "4.7.0a2", "pypi"),
        sha256="1e79f8a46b97fe27946fa7b3149bb0369622bcee687e2c753717c6ccecfae7d1",
        files=66,
        without=("CHANGELOG.md",),
    ),
    Project(
        *("training", "fastapi", "0.99.1", "pypi"),
        sha256="ac78f717cd80d657bd183f94d33b9bda84aa376a46a9dab513586b8eef1dc6fc",
        files=104,
        without=(
            "docs/em",
            "docs/zh",
            "docs/pt",
            "docs/ja",
            "docs/ru",
            "docs/fr",
            "docs/ko",
            "docs/es",
            "docs/tr",
            "docs/pl",
            "docs/fa",
            "docs/de",
            "docs/he",
            "docs/id",
            "docs/en/docs/release-notes.md",
            "docs/en/docs/fastapi-people.md",
            "docs/en/docs/external-links.md",
            "docs/en/docs/newsletter.md",
        ),
    ),
    Project(
        *("training", "instructor", "1.9.2", "pypi"),
        sha256="8c6b9fb4f8404a1e8290b8c3e9d26f8e9a1aceb5392ea8728a21a0828fb5e7c6",
        files=188,
        without=(
            ".github",
            ".cursor",
            "CLAUDE.md",
            "docs_todo.md",
            "docs/blog",
            "docs/templates",
            "examples",
            "scripts",
            "tests",
        ),
    ),
    Project(
        *("training", "mcp", "2.3.0", "pypi"),
        sha256="8b147a50441cf059dc88c684e0aeed3687f0aa0f39c6cde7b90330effd2b34d8",
        files=61,
        without=(
            "i18n",
            "examples",
            ".github",
            ".claude",
            "AGENTS.md",
            "CLAUDE.md",
            "schema",
            "src",
            "tests",
        ),
    ),
    Project(
        *("training", "starlette", "1.9.0", "pypi"),
        sha256="3d931de246ed870e35ce605974440816ef895e592f255d1396cfdf191d4c4318",
        files=27,
        without=(".github", "AGENTS.md", "AI_POLICY.md", "benchmarks", "scripts"),
    ),
    Project(
        *("training", "ansible-lint", "26.9.0", "pypi"),
        sha256="cb3265888f30815de0dcf0964d34768b45c98bb4361eea7eb42c0342e81b51b4",
        files=65,
        without=("test", "src", ".github", "examples", "collections"),
    ),
    Project(
        *("training", "molecule", "6.0.3", "pypi"),
        sha256="d2a881062fcc5ef1e08c1e5127c04354d2c95171955e270bd82b3fbfef72d3b0",
        files=15,
        without=("test", ".github", "docs/working"),
    ),
    Project(
        *("training", "briefcase", "0.4.7", "pypi"),
        sha256="a9ea1c5e7603eba82c22a51694077a6b96e3335756dee61a994ad64e091372c3",
        files=89,
        without=(".specify", "AGENTS.md", "automation", "changes", "debugger"),
    ),
    Project(
        *("training", "scikit-build-core", "1.1.2", "pypi"),
        sha256="7893709119c5ab1be75cd10442383132c9433b9f104dacef5185949efbea7974",
        files=34,
        without=("AGENTS.md",),
    ),
    Project(
        *("training", "isort", "9.0.2", "pypi"),
        sha256="d2298980ce44350f11d9d24c8150eaef1883431ec203dddbb4e9b5c3ceb54c70",
        files=25,
        without=("CHANGELOG.md",),
    ),
    Project(
        *("training", "pikepdf", "9.9.0", "pypi"),
        sha256="948620612c5ee70c14b262a352b1db927386eab741d6ed77fdb1c4c8772734b9",
        files=43,
    ),
    Project(
        *("training", "oauthenticator", "17.4.0", "pypi"),
        sha256="b1025d725dc406977299c87fedea2006fcabac3bea9d4e17f690d4dad044923e",
        files=28,
        without=("examples",),
    ),
    Project(
        *("training", "jupyter-ai", "3.2.0rc1", "pypi"),
        sha256="a4ac253406a350d0515004fa589285490ec432807a86ec84b9376cee7c0f90cb",
        files=35,
        without=("AGENTS.md", "CHANGELOG.md", ".github"),
    ),
    Project(
        *("training", "salt", "3008.5", "pypi"),
        sha256="0259deafd601d783721e5aa8ed10677d8c4d6cc12f5de17499af71590d593315",
        files=51,
        without=("scripts", "pkg", "tests"),
    ),
    Project(
        *("training", "netbox", "4.7.3", "pypi"),
        sha256="169fcae8fa5f4b6cdaa29865f029af0d19d748a82e5d7dbb52d67caa94a84299",
        files=241,
        without=("CHANGELOG.md", "docs/release-notes", "docs/development"),
    ),
    Project(
        *("training", "aider-chat", "0.86.2", "pypi"),
        sha256="f38a9d322f5609f0c13af82d50c6a11170185b3fdf26956e4a7e89ba19819159",
        files=86,
        without=(
            "aider/queries",
            "CONTRIBUTING.md",
            "HISTORY.md",
            "benchmark",
            "tests",
            "aider/website/HISTORY.md",
        ),
    ),
    Project(
        *("training", "zarr", "3.4.2", "pypi"),
        sha256="645d64f292f457120fc0ca18dbe38f665b4c21aaea38a2a88b5eead8f06f3d28",
        files=27,
        without=("docs/api", "examples", "docs/blog"),
    ),
    Project(
        *("training", "schemathesis", "4.9.5", "pypi"),
        sha256="c7e0236f98e89f87743b3be18261052c1040858253f50239f829be623347f40c",
        files=39,
        without=(".github", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "examples"),
    ),
    Project(
        *("training", "vllm", "0.9.2", "pypi"),
        sha256="6b0d855ea8ba18d76364c9b82ea94bfcaa9c9e724055438b5733e4716ed104e1",
        files=130,
        without=(
            ".buildkite",
            ".github",
            "CODE_OF_CONDUCT.md",
            "csrc",
            "tools",
            "vllm",
            "benchmarks",
            "docs/api",
            "examples",
        ),
    ),
    Project(
        *("training", "codeceptjs", "4.1.0", "npm"),
        sha256="f10f2e6a3e462a46390f9e2006addda1f8ff1886ee3e3d972f353703c07cc31f",
        files=53,
        without=(
            "docs/helpers/ApiDataFactory.md",
            "docs/helpers/Appium.md",
            "docs/helpers/Detox.md",
            "docs/helpers/ExpectHelper.md",
            "docs/helpers/GraphQLDataFactory.md",
            "docs/helpers/MockRequest.md",
            "docs/helpers/Playwright.md",
            "docs/helpers/Puppeteer.md",
            "docs/helpers/Puppeteer-firefox.md",
            "docs/helpers/WebDriver.md",
            "docs/advanced.md",
            "docs/agents.md",
            "docs/aitrace.md",
            "docs/api.md",
            "docs/assertions.md",
            "docs/auth.md",
            "docs/basics.md",
            "docs/best.md",
            "docs/community-helpers.md",
            "docs/continuous-integration.md",
            "docs/custom-helpers.md",
            "docs/detox.md",
            "docs/element-based-testing.md",
            "docs/els.md",
            "docs/examples.md",
            "docs/internal-test-server.md",
            "docs/mcp.md",
            "docs/migrate-from-cypress.md",
            "docs/migrate-from-java.md",
            "docs/migrate-from-protractor.md",
            "docs/migrate-from-testcafe.md",
            "docs/migration-4.md",
            "docs/mobile.md",
            "docs/pageobjects.md",
            "docs/playwright.md",
            "docs/plugins.md",
            "docs/puppeteer.md",
            "docs/translation.md",
            "docs/tutorial.md",
            "docs/web-element.md",
            "docs/webdriver.md",
        ),
    ),
    Project(
        *("training", "concurrently", "9.2.5", "npm"),
        sha256="87c22977dcffa7fcf2a0e877394eceaa429015b91767c76b5449e5cb41ca6549",
        files=11,
    ),
    Project(
        *("training", "markdownlint", "0.40.0", "npm"),
        sha256="68adab60a00e5d084544e7c2c7a49ff52050d71950ffcc77442bded32a1ac9fb",
        files=60,
        without=("CHANGELOG.md", "doc/Rules.md"),
    ),
    Project(
        *("training", "piscina", "5.3.2", "npm"),
        sha256="d9a3875ba7ae77180e8a3d4b8ce89639377bb5339605fb91e2873e6c73832d2c",
        files=11,
        without=(
            "CHANGELOG.md",
            "CODE_OF_CONDUCT.md",
            "docs/docs/api-reference/api-overview.md",
            "docs/docs/update-log/changelog.md",
        ),
    ),
    Project(
        *("training", "eslint-plugin-jest", "29.17.0", "npm"),
        sha256="27a72bbe69b4cd6a8d53cd7ae9ae91a815b1aaf6427636531d7313fb5760164b",
        files=72,
    ),
    Project(
        *("training", "node-gyp", "12.4.0", "npm"),
        sha256="c5651a4fa92942a36cf30e0f043119d4889e26e25f30ae28b8cecc16e705bf29",
        files=9,
        without=("CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md"),
    ),
)
