"""The files of the embedded home: Airflow's configuration, keys and login, written before anything starts."""

from __future__ import annotations

import base64
import configparser
import json
import os
import secrets
from pathlib import Path
from typing import TextIO

from pydantic import SecretStr

import recpipe
from recpipe.config.place_settings import PlaceSettings
from recpipe.config.run_settings import LocalSettings
from recpipe.config.settings import Settings
from recpipe.errors import BadSetting
from recpipe.local.dag_files import dag_files, existing_folder

USER = "admin"
SQLITE = "sqlite:///"
# imported by every service of Airflow: a backfill that is started on a page of the api-server needs it too
LOCAL_SETTINGS = """\
from recpipe.airflow.backfill.savepoints import begin_before_savepoint

__all__ = []
begin_before_savepoint()
"""

# one thread a task: several tasks run at a time. Nothing phones home.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # no queue of background jobs beside the pages
    "HF_HUB_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore::DeprecationWarning:airflow._shared.module_loading.file_discovery",  # its own, in every task log
    "NO_COLOR": "1",
}


def airflow_home(places: PlaceSettings) -> Path:
    """Return the folder of Airflow's configuration, database and task logs."""
    return places.home.resolve() / "airflow"


def logs(settings: Settings) -> Path:
    """Return the folder of the services' logs."""
    return settings.places.home.resolve() / "logs"


def base_url(settings: Settings) -> str:
    """Return the address of Airflow's pages."""
    return f"http://127.0.0.1:{settings.local.airflow_port}"


def mlflow_url(local: LocalSettings) -> str:
    """Return the address of MLflow's pages."""
    return f"http://127.0.0.1:{local.mlflow_port}"


def airflow_pages(settings: Settings) -> str:
    """Return the address of Airflow's pages as a browser opens it, without a slash at its end."""
    return (settings.local.airflow_pages or base_url(settings)).rstrip("/")


def mlflow_pages(settings: Settings) -> str:
    """Return the address of MLflow's pages as a browser opens it, without a slash at its end."""
    served = settings.places.mlflow_uri if settings.places.mlflow_uri.startswith("http") else mlflow_url(settings.local)
    return (settings.local.mlflow_pages or served).rstrip("/")


def serves_mlflow(places: PlaceSettings) -> bool:
    """Whether the home serves MLflow itself, which it does unless a tracking server elsewhere is named."""
    return places.tracking_uri.startswith("sqlite:")


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the settings as ``RECPIPE_*`` variables, so that processes started from here read the same.

    Only values that differ from the defaults are named, and the home. Paths are absolute: services run in another folder.
    """
    values = settings.differing()
    values["home"] = str(settings.places.home.resolve())
    for name in ("lake", "landing", "encoder", "user_key_file"):
        given = values.get(name)
        if given and "://" not in given:
            values[name] = str(Path(given).resolve())
    if "mlflow_uri" in values:
        values["mlflow_uri"] = _absolute_sqlite(values["mlflow_uri"])
    return {f"RECPIPE_{name.upper()}": _text(value) for name, value in values.items()}


def _absolute_sqlite(uri: str) -> str:
    """Return the address of an SQLite file with its whole path; every other address stays as it is."""
    path, question, options = uri.removeprefix(SQLITE).partition("?")
    if not uri.startswith(SQLITE) or not path or path.startswith(":memory:"):
        return uri
    return f"{SQLITE}{Path(path).resolve()}{question}{options}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Return the environment in which the ``airflow`` command works on the embedded home.

    It holds no secret: keys stand in the home's ``airflow.cfg``, which only its owner can read, and those of the settings go to the
    services alone.
    """
    return {
        **ENVIRONMENT,
        "RECPIPE_ENV_FILE": "",  # what follows is the whole of the settings
        "RECPIPE_CONFIG_FILE": "",
        "AIRFLOW_HOME": str(airflow_home(settings.places)),
        "AIRFLOW_CONFIG": str(airflow_home(settings.places) / "airflow.cfg"),
        **settings_environment(settings),
    }


def process_environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of a service: this process's, less the settings of another Airflow."""
    # connections are secrets of this shop, whichever Airflow reads them
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_") or name.startswith("AIRFLOW_CONN_")
    }
    return {**kept, **airflow_environment(settings), **_secrets(settings)}


def _secrets(settings: Settings) -> dict[str, str]:
    """Return what the services have to be told and nobody may print, such as the key of user ids."""
    secrets = {name: value.get_secret_value() for name, value in settings.flat().items() if isinstance(value, SecretStr)}
    if settings.places.landing_options:
        secrets["landing_options"] = json.dumps(
            {name: value.get_secret_value() for name, value in settings.places.landing_options.items()}
        )
    return {f"RECPIPE_{name.upper()}": value for name, value in secrets.items() if value}


def write_home(settings: Settings) -> None:
    """Write ``airflow.cfg`` and the login; keys are made once and kept."""
    home = airflow_home(settings.places)
    for folder in (home, logs(settings), settings.places.home.resolve() / "run", settings.places.home.resolve() / "mlflow"):
        folder.mkdir(parents=True, exist_ok=True)
    keys = _keys(home / "keys.json")
    _write_private(home / "login.json", json.dumps({USER: keys["password"]}) + "\n")
    config = configparser.ConfigParser(interpolation=None)
    config.read_dict(_configuration(settings, keys))
    with _private(home / "airflow.cfg") as file:
        config.write(file)
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)


def login(settings: Settings) -> tuple[str, str]:
    """Return user and password of Airflow's pages.

    Raises
    ------
    BadSetting
        If the home was never started.
    """
    path = airflow_home(settings.places) / "login.json"
    if not path.is_file():
        raise BadSetting(f"There is no login under {settings.places.home}: run `recpipe up` first.")
    return USER, json.loads(path.read_text())[USER]


def _keys(path: Path) -> dict[str, str]:
    if not path.is_file():
        keys = {name: secrets.token_urlsafe(32) for name in ("secret", "jwt")}
        keys["fernet"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
        keys["password"] = secrets.token_urlsafe(12)
        _write_private(path, json.dumps(keys) + "\n")
    return dict(json.loads(path.read_text()))


def _private(path: Path) -> TextIO:
    path.unlink(missing_ok=True)  # an older file keeps its mode otherwise
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def _write_private(path: Path, text: str) -> None:
    with _private(path) as file:
        file.write(text)


def _plugins_folder(settings: Settings) -> Path:
    """Return the folder of further plugins: that of the settings, that of a checkout, or Airflow's own, which may be missing."""
    beside = Path(recpipe.__file__).resolve().parent.parent / "plugins"
    if settings.local.plugins_folder:
        return existing_folder(settings.local.plugins_folder, "plugins")
    return beside if beside.is_dir() else airflow_home(settings.places) / "plugins"


def _configuration(settings: Settings, keys: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return Airflow's configuration: SQLite, this machine only, tuned for few files and short tasks."""
    home = airflow_home(settings.places)
    return {
        "core": {
            "dags_folder": str(dag_files(settings.local.dags_folder)),
            "plugins_folder": str(_plugins_folder(settings)),
            "executor": "LocalExecutor",
            "parallelism": str(settings.local.parallel_tasks),
            "load_examples": "False",
            "dags_are_paused_at_creation": str(settings.local.dags_paused),
            "fernet_key": keys["fernet"],
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": str(home / "login.json"),
            "execution_api_server_url": f"{base_url(settings)}/execution/",
            "hostname_callable": "socket.gethostname",  # the full name would ask the name server
            "killed_task_cleanup_time": "15",
        },
        # several processes write to one file: they wait for each other, and try again
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}?timeout=60", "max_db_retries": "10"},
        "logging": {"base_log_folder": str(home / "logs"), "colored_console_log": "False"},
        "api": {
            "host": "127.0.0.1",
            "port": str(settings.local.airflow_port),
            "base_url": base_url(settings),
            "workers": "1",
            "secret_key": keys["secret"],
            "instance_name": "recpipe",
        },
        "api_auth": {"jwt_secret": keys["jwt"]},
        # the machine may be busy when a task reports
        "workers": {"execution_api_timeout": "30"},
        "scheduler": {"scheduler_idle_sleep_time": "0.3"},
        "dag_processor": {"parsing_processes": "1", "refresh_interval": "15", "min_file_process_interval": "60"},
    }
