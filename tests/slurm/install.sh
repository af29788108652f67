#!/bin/sh
# Installs Debian's Slurm, MUNGE and what accounting needs, so that `pytest -m slurm` can bring up its own
# one-host clusters. It is not a way to set up a cluster for other people: nothing is configured and no system
# daemon is started.
set -eu

packages="munge slurmctld slurmd slurm-client slurmdbd mariadb-server-core mariadb-client-core"
programs="munged munge slurmctld slurmd sbatch squeue scontrol scancel srun sinfo
    slurmdbd sacct sacctmgr mariadbd mariadb mariadb-install-db"
policy=/usr/sbin/policy-rc.d
manuals=/var/lib/man-db/auto-update
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing=""
for program in $programs; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
if [ -z "$missing" ]; then
    echo "installed already: $(slurmctld -V)"
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing" >&2
    echo "This is not Debian or Ubuntu: install MUNGE, Slurm (slurmctld, slurmdbd, slurmd, client programs) and" >&2
    echo "MariaDB (server and client programs) with the package manager of this system, then run the tests again." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "missing:$missing" >&2
    echo "Run as root: sudo sh $0   (or: sudo apt-get install --no-install-recommends $packages)" >&2
    exit 1
fi

made_policy="" paused_manuals=""
restore() {
    [ -z "$made_policy" ] || rm -f "$policy"
    [ -z "$paused_manuals" ] || : >"$manuals"
}
trap restore EXIT
# The packages' own scripts would start munged, slurmctld and slurmd with the system's configuration.
if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
# Indexing all manual pages anew takes longer than the installation; the next one does it.
if [ -e "$manuals" ]; then
    paused_manuals=yes
    rm -f "$manuals"
fi

install() {
    # shellcheck disable=SC2086  # the list is meant to be split
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 $packages
}
install || { apt-get update && install; }
slurmctld -V
