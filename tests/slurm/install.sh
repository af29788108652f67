#!/bin/sh
# Installs Debian's Slurm and MUNGE, so that `pytest -m slurm` can bring up its own one-host cluster.
# It is not a way to set up a cluster for other people: nothing is configured and no system daemon is started.
set -eu

packages="munge slurmctld slurmd slurm-client"
programs="munged munge slurmctld slurmd sbatch squeue scontrol scancel srun"
policy=/usr/sbin/policy-rc.d
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
    echo "This is not Debian or Ubuntu: install MUNGE and Slurm (slurmctld, slurmd, client programs) with the" >&2
    echo "package manager of this system, then run the tests again." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "missing:$missing" >&2
    echo "Run as root: sudo sh $0   (or: sudo apt-get install --no-install-recommends $packages)" >&2
    exit 1
fi

# The packages' own scripts would start munged, slurmctld and slurmd with the system's configuration.
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi

install() {
    # shellcheck disable=SC2086  # the list is meant to be split
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 $packages
}
install || { apt-get update && install; }
slurmctld -V
