"""The whole OpenCoder recipe in miniature: real code in, a trained and measured model out, on two cores in minutes.

    ocspec run specs/opencoder_mini.py

Every stage of arXiv 2411.04905 is here, each shrunk but none faked: collect, deduplicate, clean, filter and sample
code; train a tokenizer; pretrain, anneal, instruction-tune twice; measure bits per byte after each. What differs from
the paper besides size is said where it differs. For the paper's own numbers read `opencoder_1_5b.py`.
"""

from __future__ import annotations

from ocspec import (
    WSD,
    Admit,
    Anneal,
    Batches,
    BitsPerByte,
    Cosine,
    Curriculum,
    Dataset,
    Decay,
    Deduplicate,
    Downsample,
    Experiment,
    Filter,
    FineTune,
    FunctionPairs,
    HoldOut,
    MinHash,
    Mixture,
    Package,
    Part,
    Pretrain,
    PyPI,
    Redact,
    SelectKeywords,
    TrainedBPE,
    Transformer,
)

# ---------------------------------------------------------------------------------------------------------------
# 1. Raw code. Wheels from the package index stand for repositories, several versions of one package for its forks,
#    and pip carries copies of requests, rich and urllib3, as many repositories carry their dependencies.

PACKAGES = PyPI(
    name="pypi",
    packages=(
        Package(
            name="celery",
            version="5.3.4",
            sha256="1e6ed40af72695464ce98ca2c201ad0ef8fd192246f6c9eac8bba343b980ad34",
        ),
        Package(
            name="celery",
            version="5.3.6",
            sha256="9da4ea0118d232ce97dff5ed4974587fb1c0ff5c10042eb15278487cdd27d1af",
        ),
        Package(
            name="click",
            version="8.1.7",
            sha256="ae74fb96c20a0277a1d615f1e4d73c8414f5a98db8b799a7931d1582f3390c28",
        ),
        Package(
            name="django",
            version="4.2.7",
            sha256="e1d37c51ad26186de355cbcec16613ebdabfa9689bbade9c538835205a8abbe9",
        ),
        Package(
            name="django",
            version="4.2.16",
            sha256="1ddc333a16fc139fd253035a1606bb24261951bbc3a6ca256717fa06cc41a898",
        ),
        Package(
            name="djangorestframework",
            version="3.14.0",
            sha256="eb63f58c9f218e1a7d064d17a70751f528ed4e1d35547fdade9aaf4cd103fd08",
        ),
        Package(
            name="flask",
            version="3.0.0",
            sha256="21128f47e4e3b9d597a3e8521a329bf56909b690fcc3fa3e477725aa81367638",
        ),
        Package(
            name="flask",
            version="3.0.3",
            sha256="34e815dfaa43340d1d15a5c3a02b8476004037eb4840b34910c6e21679d288f3",
        ),
        Package(
            name="jinja2",
            version="3.1.2",
            sha256="6088930bfe239f0e6710546ab9c19c9ef35e29792895fed6e6e31a023a182a61",
        ),
        Package(
            name="mkdocs",
            version="1.5.3",
            sha256="3b3a78e736b31158d64dbb2f8ba29bd46a379d0c6e324c2246c3bc3d2189cfc1",
        ),
        Package(
            name="pip",
            version="23.3.1",
            sha256="55eb67bb6171d37447e82213be585b75fe2b12b359e993773aca4de9247a052b",
        ),
        Package(
            name="requests",
            version="2.31.0",
            sha256="58cd2187c01e70e6e26505bca751777aa9f2ee0b7f4300988b709f44e013003f",
        ),
        Package(
            name="rich",
            version="13.7.0",
            sha256="6da14c108c4866ee9520bbffa71f6fe3962e193b7da68720583850cd4548e235",
        ),
        Package(
            name="scrapy",
            version="2.11.0",
            sha256="a7f36544d1f5ceb13cff9b7bc904bd7c0fc43a3af0fbe5aa2034fd937cf092d1",
        ),
        Package(
            name="sphinx",
            version="7.2.6",
            sha256="1e09160a40b956dc623c910118fa636da93bd3ca0b9876a7b3df90f07d691560",
        ),
        Package(
            name="sphinx",
            version="7.3.7",
            sha256="413f75440be4cacf328f580b4274ada4565fb2187d696a84970c23f77b64d8c3",
        ),
        Package(
            name="starlette",
            version="0.32.0",
            sha256="bbc0973cfeba8cc767ee9b53f28d0b85fa77ab5045083e13fb99e6e7bcf0b748",
        ),
        Package(
            name="urllib3",
            version="2.1.0",
            sha256="55901e917a5896a349ff771be919f8bd99aff50b79fe58fec595eb37bbc56bb3",
        ),
        Package(
            name="werkzeug",
            version="3.0.1",
            sha256="90a285dc0e42ad56b34e696398b8122ee4c681833fb35b8334a095d82c56da10",
        ),
    ),
)

# Never trained on, and neither are files elsewhere that equal or nearly equal theirs, as pip's copy of requests does.
HELD_OUT = HoldOut(repositories=("mkdocs@*", "requests@*", "scrapy@*"))

# ---------------------------------------------------------------------------------------------------------------
# 2. RefineCode: the paper's order of modules (2.1). Deduplicate before anything is changed, then clean, then judge.

CODE = Dataset(
    name="code",
    sources=(PACKAGES,),
    steps=(
        Admit(max_bytes=8_000_000, languages=("python", "javascript", "typescript", "html", "css", "c")),
        Deduplicate(granularity="file", exact=True, near=MinHash(bands=16, rows=128, ngram=5)),
        Redact(copyright=True, pii=True),
        Filter(catalogue="opencoder"),
        Downsample(caps={"html": 60_000, "javascript": 1_000_000}),  # the paper caps Java and HTML
    ),
)

# The algorithmic corpus of annealing is what of the code matches keywords (3). Libraries do not hold solutions to
# contest problems, so "algorithm" stands beside the paper's keywords.
ALGORITHMIC = Dataset(
    name="algorithmic",
    base="code",
    steps=(SelectKeywords(keywords=("leetcode", "def solution", "class solution", "algorithm")),),
)

# Instruction data. No large model writes any here: pairs are made of the corpus's own functions, signature and
# docstring -> body. Stage 1 takes all of them, stage 2 those with a docstring that explains.
FUNCTIONS = FunctionPairs(name="functions", dataset="code", min_docstring_chars=15)
EXPLAINED = FunctionPairs(name="explained", dataset="code", min_docstring_chars=160)

# ---------------------------------------------------------------------------------------------------------------
# 3. Model: the shape of OpenCoder 8B, 1.2 M parameters.

MODEL = Transformer(
    num_layers=4,
    hidden_size=128,
    intermediate_size=352,
    num_heads=4,
    num_kv_heads=2,
    max_positions=256,
    rope_theta=10_000.0,
)

# ---------------------------------------------------------------------------------------------------------------
# 4. Curriculum: warm-up and hold, then the decay on a better mix (WSD), then two stages of instruction tuning.

PRETRAIN = Pretrain(
    name="pretrain",
    mixture=Mixture(parts=(Part(dataset="code", weight=1),)),
    batches=(Batches(steps=160, global_batch=32, sequence_length=256),),  # 1.3 M tokens
    schedule=WSD(peak=2e-3, warmup_steps=20),
    micro_batch=32,
    checkpoint_every=20,
)

ANNEAL = Anneal(
    name="anneal",
    mixture=Mixture(
        parts=(
            Part(dataset="code", weight=83.94),
            Part(dataset="algorithmic", weight=12.44 + 2.71 + 0.91, max_epochs=4),  # no synthetic data here
        )
    ),
    batches=(Batches(steps=60, global_batch=32, sequence_length=256),),
    schedule=Decay(end=1e-4, shape="exponential"),
    micro_batch=32,
    checkpoint_every=20,
)

SFT_1 = FineTune(
    name="sft1",
    instructions=("functions",),
    epochs=1,
    steps=30,
    global_batch=32,
    max_length=256,
    schedule=Cosine(peak=5e-4, warmup_steps=5),
    micro_batch=32,
    checkpoint_every=10,
)

SFT_2 = FineTune(
    name="sft2",
    instructions=("explained",),
    epochs=3,
    steps=20,
    global_batch=16,
    max_length=256,
    schedule=Cosine(peak=2e-4, warmup_steps=5),
    micro_batch=16,
    checkpoint_every=10,
)

# ---------------------------------------------------------------------------------------------------------------

experiment = Experiment(
    name="opencoder_mini",
    data=(CODE, ALGORITHMIC),
    hold_out=HELD_OUT,
    tokenizer=TrainedBPE(vocab_size=2048, sample_bytes=6_000_000),
    model=MODEL,
    instructions=(FUNCTIONS, EXPLAINED),
    curriculum=Curriculum(stages=(PRETRAIN, ANNEAL, SFT_1, SFT_2)),
    # The yardstick is a byte 5-gram model trained on the very tokens that the stages saw.
    evaluations=(BitsPerByte(max_bytes=400_000, ngram_order=5),),
    shards=2,
)
