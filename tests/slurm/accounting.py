"""The accounting of a one-host cluster: mariadbd and slurmdbd in the cluster's directory, so that `sacct` answers.

Not a database to keep: nothing is synced to disk, and there is no password. Only a unix socket leads to it, in a
directory that nobody else may enter.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import typing
from pathlib import Path

if typing.TYPE_CHECKING:
    from tests.slurm.cluster import Cluster

PROGRAMS = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb", "mariadb-install-db")
ACCOUNT = "lab"

# {port} is slurmdbd's. The client of a munged elsewhere than usual needs its socket as "password" too.
SLURM_CONFIG = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={munge_socket}
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
"""
# slurmdbd takes the socket of "localhost" from MYSQL_UNIX_PORT.
SLURMDBD_CONFIG = """\
AuthType=auth/munge
AuthInfo=socket={munge_socket}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
{bind}
SlurmUser={user}
PidFile={directory}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=slurm_accounting
CommitDelay=1
"""
INNODB = ("--innodb-log-file-size=16M", "--innodb-flush-method=nosync")
MARIADBD = """--no-defaults --user={user} --datadir={data} --socket={database_socket} --skip-networking
--skip-grant-tables --skip-log-bin --skip-name-resolve --pid-file={directory}/run/mariadbd.pid
--performance-schema=off --innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0
--innodb-lock-wait-timeout=900 --max-connections=50
"""


class Accounting:
    """The two daemons behind `sacct`, kept in the directory of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.data = cluster.directory / "database/data"
        self.socket = cluster.short / "database/sql.sock"
        self.config = cluster.directory / "etc/slurmdbd.conf"
        self.user = pwd.getpwuid(os.geteuid()).pw_name

    def slurm_settings(self, port: int, bind: str) -> str:
        """Write slurmdbd's configuration and return the lines that slurm.conf needs.

        `bind` is the line that keeps the daemon on the loopback, or nothing.
        """
        values = {**vars(self.cluster), "port": port, "user": self.user, "bind": bind}
        self.config.touch(mode=0o600)  # slurmdbd insists
        self.config.write_text(SLURMDBD_CONFIG.format(**values))
        return SLURM_CONFIG.format(**values)

    def start(self) -> None:
        """Start the daemons that are not running, the first time with an empty database and one account.

        Raises ClusterError with the failing daemon's log.
        """
        self.data.parent.mkdir(mode=0o700, exist_ok=True)
        self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        first = not (self.data.parent / "ready").exists()
        self._start_database(first)
        if not self.cluster.alive("slurmdbd"):
            self.cluster.spawn("slurmdbd", "-D", environment={"MYSQL_UNIX_PORT": str(self.socket)})
        self.cluster.wait("slurmdbd", lambda: is_open(self.config), "slurmdbd")
        if first:
            self._add_account()
            (self.data.parent / "ready").touch()

    def _start_database(self, first: bool) -> None:
        if not self.cluster.alive("mariadbd"):
            if first:
                shutil.rmtree(self.data, ignore_errors=True)
                where = (f"--datadir={self.data}", f"--user={self.user}")
                kind = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
                self.cluster.must("mariadb-install-db", "--no-defaults", *where, *kind, *INNODB)
            self.socket.unlink(missing_ok=True)
            places = {"user": self.user, "data": self.data, "database_socket": self.socket}
            arguments = MARIADBD.format(**places, directory=self.cluster.directory).split()
            self.cluster.spawn("mariadbd", *arguments, *INNODB)
        self.cluster.wait("mariadbd", lambda: accepts(self.socket), "mariadbd")

    def _add_account(self) -> None:
        cluster = self.cluster.name
        for entry in (
            ("cluster", cluster),
            ("account", ACCOUNT, f"cluster={cluster}", "description=tests", "organization=tests"),
            ("user", self.user, f"account={ACCOUNT}", f"cluster={cluster}", f"defaultaccount={ACCOUNT}"),
        ):
            self.cluster.must("sacctmgr", "--immediate", "add", *entry)


def accepts(path: Path) -> bool:
    """Whether something listens on this unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def is_open(config: Path) -> bool:
    """Whether the slurmdbd of this configuration listens."""
    lines = dict(line.split("=", 1) for line in config.read_text().splitlines() if "=" in line)
    with socket.socket() as probe:
        return probe.connect_ex((lines["DbdAddr"], int(lines["DbdPort"]))) == 0
