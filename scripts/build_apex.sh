#!/bin/sh
# Builds NVIDIA Apex's kernels from a git checkout for the torch of a Python environment, and proves that they load.
#
#     git clone https://github.com/NVIDIA/apex
#     scripts/build_apex.sh [--check] [--python PYTHON] apex
#
# --check            only look whether it could be built
# --python PYTHON    the interpreter of the training environment (default: python3)
# CUDA_HOME          the CUDA toolkit (default: that of the nvcc in PATH, then /usr/local/cuda)
# TORCH_CUDA_ARCH_LIST   compute capabilities to build for, as 9.0 (default: those of the devices here)
# MAX_JOBS           compilers at a time (default: one for each processor, and for every 4 GB of memory)
#
# It installs one distribution, `apex`, and no other; PyPI's package of that name is another project. docs/how-to/apex.md.
set -eu

stop() {
    echo "error: $1" >&2
    echo "  fix: $2" >&2
    exit 1
}

python=python3 check=no
while [ $# -gt 0 ]; do
    case $1 in
    --check) check=yes ;;
    --python) python=${2:?--python takes an interpreter}; shift ;;
    -*) stop "no option $1" "sed -n 2,13p $0 says which there are" ;;
    *) break ;;
    esac
    shift
done
[ $# -eq 1 ] || stop "give one checkout of NVIDIA Apex, not $#" "git clone https://github.com/NVIDIA/apex; $0 apex"
[ -f "$1/setup.py" ] && [ -f "$1/csrc/multi_tensor_adam.cu" ] ||
    stop "$1 is no checkout of NVIDIA Apex: it lacks setup.py or csrc/multi_tensor_adam.cu" \
        "git clone https://github.com/NVIDIA/apex"
checkout=$(cd "$1" && pwd)

command -v "$python" >/dev/null || stop "there is no interpreter $python" "name one by --python"
case $python in
*/*) python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") ;; # a link stays one: it may be an environment's
esac
cd / # so that no directory called apex in the current one is imported below

# ---------------------------------------------------------------- torch

facts=$("$python" -c 'import torch; print(torch.__version__, torch.version.cuda or "none")' 2>&1) ||
    stop "$python cannot import torch: $(echo "$facts" | tail -n 1)" "install torch for CUDA there"
torch=${facts% *} torch_cuda=${facts#* }
[ "$torch_cuda" != none ] ||
    stop "torch $torch of $python was built without CUDA" "install a build of torch for the CUDA version of the nodes"
for module in setuptools packaging pip "setuptools.command.bdist_wheel, wheel"; do
    # setuptools before 70.1 needs wheel to make one
    "$python" -c "import ${module%,*}" 2>/dev/null || "$python" -c "import ${module#*, }" 2>/dev/null ||
        stop "$python has no ${module#*, }: the build takes what is installed" "$python -m pip install ${module#*, }"
done
other=$("$python" -c '
from importlib.metadata import PackageNotFoundError, distribution
try:
    found = distribution("apex")
    print("" if "NVIDIA" in (found.metadata["Summary"] or "") else found.version, found.metadata["Summary"])
except PackageNotFoundError:
    pass
')
case $other in
"" | " "*) ;;
*) stop "another project's package called apex is installed: $other" "$python -m pip uninstall apex" ;;
esac

# ---------------------------------------------------------------- compilers

if [ -z "${CUDA_HOME:-}" ]; then
    nvcc=$(command -v nvcc || true)
    for place in ${nvcc:+"$(dirname "$(dirname "$(readlink -f "$nvcc")")")"} /usr/local/cuda; do
        # a wrapper in PATH may lie elsewhere than the toolkit
        if [ -x "$place/bin/nvcc" ] && [ -f "$place/include/cuda_runtime.h" ]; then CUDA_HOME=$place && break; fi
    done
fi
[ -n "${CUDA_HOME:-}" ] ||
    stop "there is no CUDA compiler: no nvcc in PATH, none in /usr/local/cuda" \
        "install CUDA $torch_cuda's toolkit, or set CUDA_HOME to where it is"
[ -x "$CUDA_HOME/bin/nvcc" ] || stop "there is no $CUDA_HOME/bin/nvcc" "set CUDA_HOME to CUDA $torch_cuda's toolkit"
release=$("$CUDA_HOME/bin/nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
[ "$release" = "$torch_cuda" ] ||
    stop "nvcc in $CUDA_HOME is of CUDA $release, torch $torch of CUDA $torch_cuda" \
        "set CUDA_HOME to a toolkit of CUDA $torch_cuda, or install a torch for CUDA $release"
command -v "${CXX:-c++}" >/dev/null || stop "there is no C++ compiler ${CXX:-c++}" "install g++, or set CXX"
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$headers/Python.h" ] || stop "$headers has no Python.h" "install Python's development files (python3-dev)"

# Torch's headers include those of CUDA's libraries. They are in the toolkit, or came with torch's own wheels.
if [ ! -f "$CUDA_HOME/include/cublas_v2.h" ]; then
    wheels=$("$python" -c '
import glob, os, sysconfig
found = glob.glob(os.path.join(sysconfig.get_path("purelib"), "nvidia", "*", "include"))
print(":".join(sorted(found)) if any(os.path.isfile(os.path.join(one, "cublas_v2.h")) for one in found) else "")
')
    [ -n "$wheels" ] ||
        stop "$CUDA_HOME/include has no cublas_v2.h, nor has torch's environment" \
            "install the CUDA toolkit's library headers (cublas, cusparse, cusolver)"
    export CPATH="$wheels${CPATH:+:$CPATH}"
fi

# ---------------------------------------------------------------- for what, and how much at a time

if [ -z "${TORCH_CUDA_ARCH_LIST:-}" ]; then
    TORCH_CUDA_ARCH_LIST=$("$python" -c '
import torch
found = {torch.cuda.get_device_capability(number) for number in range(torch.cuda.device_count())}
print(";".join(f"{major}.{minor}" for major, minor in sorted(found)))
' 2>/dev/null)
    [ -n "$TORCH_CUDA_ARCH_LIST" ] ||
        stop "torch sees no CUDA device here, so nothing says for which to build" \
            "set TORCH_CUDA_ARCH_LIST: 9.0 for H100 and H200, 8.0 for A100, 10.0 for B200"
fi
if [ -z "${MAX_JOBS:-}" ]; then
    processors=$(getconf _NPROCESSORS_ONLN)
    by_memory=$(($(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo) / 4000000))
    MAX_JOBS=$((processors < by_memory ? processors : by_memory))
    [ "$MAX_JOBS" -ge 1 ] || MAX_JOBS=1
fi
at_once=$(((MAX_JOBS + 3) / 4)) # modules; each of them compiles its files by a ninja of its own
export CUDA_HOME TORCH_CUDA_ARCH_LIST

commit=$(git -C "$checkout" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
echo "apex $commit for torch $torch, CUDA $torch_cuda in $CUDA_HOME, compute capability $TORCH_CUDA_ARCH_LIST, $MAX_JOBS at a time"
[ "$check" = no ] || exit 0

# ---------------------------------------------------------------- build, and prove it

log=$(mktemp)
APEX_CPP_EXT=1 APEX_CUDA_EXT=1 APEX_PARALLEL_BUILD=$at_once MAX_JOBS=$((MAX_JOBS / at_once)) \
    "$python" -m pip install --verbose --no-build-isolation --no-deps "$checkout" >"$log" 2>&1 ||
    stop "the build failed; its last words: $(grep -iE 'error|fatal' "$log" | tail -n 3)" "the whole log is $log"
rm -f "$log"
"$python" -c '
import torch  # the modules link to its libraries
import amp_C, fused_layer_norm_cuda, fused_weight_gradient_mlp_cuda
for module, called in (
    (amp_C, "multi_tensor_adam"),
    (fused_layer_norm_cuda, "rms_forward_affine"),
    (fused_weight_gradient_mlp_cuda, "wgrad_gemm_accum_fp32"),
):
    getattr(module, called)
    print("loads:", module.__name__, "with", called)
' || stop "it was built and does not load" "see the error above; was torch changed since?"
