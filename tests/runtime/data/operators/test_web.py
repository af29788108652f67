"""Web recall on a small web of real text: the loop as a plan, its tables, and each operator on bad input."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compiler import ir
from compiler.cost.estimate import estimate
from compiler.errors import UserError
from compiler.passes.lower_web import URL_COLUMNS
from compiler.plan import Plan
from ocspec import Dataset, FastText, WebRecall
from runtime.data.operators.web import (
    expand_web,
    recall_web,
    sample_web,
    score_web,
    segment_web,
    settle_web,
    train_web,
)
from runtime.data.web.classifier import CODE, OTHER
from runtime.data.web.words import learn
from runtime.facts import known_of
from runtime.task import Artifact
from tests.runtime.conftest import Workbench, tiny
from tests.runtime.data.operators.conftest import Bench, rows, text
from tests.runtime.data.web import small_web

SETTINGS = {"dim": 16, "epochs": 10, "learning_rate": 0.5, "buckets": 20_000}
CLASSIFIER = ir.FastText(dim=4, epochs=2, learning_rate=0.5, word_ngrams=1, min_count=1, buckets=10)
TASK = "web/fetch-crawl"


class Recalled:
    """The loop over the small web, run once for each number of shards."""

    def __init__(self, root: Path, corpus: Path) -> None:
        self.pages = {page.url: page for page in small_web.pages()}
        small_web.write(root, list(self.pages.values()))
        crawl = WebRecall(
            name="crawl",
            pages=str(root / "pages-*.parquet"),
            seed=str(root / "seed.parquet"),
            url_patterns=(small_web.PATTERN,),
            iterations=2,
            vocab_size=2000,
            sample_pages=300,
            held_out_share=0.2,
            classifier=FastText(**SETTINGS),
        )
        plain = tiny(corpus)
        experiment = plain.replace(data=(*plain.data, Dataset(name="web", sources=(crawl,))))
        self.plans: dict[int, Plan] = {}
        self.benches: dict[int, Workbench] = {}
        for shards in (1, 3):
            (root / str(shards)).mkdir()
            bench = Workbench(root / str(shards), corpus)
            plan, path = bench.compile(experiment, shards)
            assert not bench.run(plan, path, until=TASK).failed
            self.plans[shards], self.benches[shards] = plan, bench

    def artifact(self, step: str = "", shards: int = 3) -> Artifact:
        """What a task of the loop made."""
        task = self.plans[shards].task(f"{TASK}/{step}" if step else TASK)
        found: Artifact = self.benches[shards].store.find(task.fingerprint)
        return found

    def found(self, iteration: int) -> Counter[tuple[str, bool]]:
        """Pages by what they are about and whether a round's classifier recalls them."""
        scores = rows(self.artifact(f"round-{iteration}/score"), "scores")
        return Counter((self.pages[row["url"]].kind, row["score"] >= 0.5) for row in scores)


@pytest.fixture(scope="module")
def recalled(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Recalled:
    """Run once for all tests that only look."""
    return Recalled(tmp_path_factory.mktemp("web"), corpus)


# ---------------------------------------------------------------- the loop


def test_what_is_written_lies_within_what_is_estimated(recalled: Recalled) -> None:
    """Of every step, by the rows of the crawl alone; what nothing bounds holds anything."""
    for shards, plan in recalled.plans.items():
        found = estimate(plan)
        for task in plan.tasks:
            if task.id.startswith(TASK):
                built = recalled.benches[shards].store.find(task.fingerprint)
                assert known_of(built.manifest).bytes_written in found[task.id].bytes_written, task.id
        assert sum(one.bytes_written.is_known for name, one in found.items() if name.startswith(TASK)) == 9


def test_url_patterns_raise_recall_from_round_to_round(recalled: Recalled) -> None:
    """The seed knows no C. Its pages come in by a pattern in a forum that is found, then those of other hosts too."""
    first, second = recalled.found(1), recalled.found(2)
    assert (
        first["c", True]
        <= 8
        < 60
        <= second["c", True]
        > recalled.artifact("round-1/expand").manifest["stats"]["joined"]
    )
    for kinds in (("python",), ("python", "c")):
        assert sum(second[kind, True] for kind in kinds) > sum(first[kind, True] for kind in kinds)
    for found in (first, second):
        assert found["prose", True] <= 0.03 * (found["python", True] + found["c", True]), "precision above 97 %"


def test_the_output_is_the_same_for_any_number_of_shards(recalled: Recalled) -> None:
    """Every task's content, the model's bytes among them, although training ran twice in one process."""
    ids = [task.id for task in recalled.plans[1].tasks if task.id.startswith(TASK)]
    assert len(ids) == 2 + 2 * 3 + 2
    steps = [task_id.removeprefix(TASK).removeprefix("/") for task_id in ids]
    digests = [[recalled.artifact(step, shards).manifest["digest"] for step in steps] for shards in (1, 3)]
    assert digests[0] == digests[1]
    split = {task.op.op_id for task in recalled.plans[3].tasks if task.id in ids and task.shards == 3}
    assert split == {"data.sample_web", "data.score_web", "data.recall_web"}


def test_documents_are_recalled_pages_and_every_other_is_accounted_for(recalled: Recalled) -> None:
    """Ids are source and URL, the domain stands for the repository; in = kept + dropped, with score and threshold."""
    artifact = recalled.artifact()
    documents, dropped = rows(artifact, "documents"), rows(artifact, "dropped")
    stats = artifact.manifest["stats"]
    assert stats["in"] == len(recalled.pages) == len(documents) + len(dropped)
    assert sum(stats["kept_as"].values()) == stats["kept"] == len(documents)
    assert set(stats["kept_as"]) >= {"recalled", "seed"}
    for row in documents:
        page = recalled.pages[row["doc_id"].removeprefix("crawl/")]
        assert row["content"] == page.text
        assert page.url == f"https://{row['repo']}{row['path']}" or page.url.startswith(("https://www.", "https://law"))
        assert (row["source"], row["language"]) == ("crawl", "text")
    kept = Counter(recalled.pages[row["doc_id"].removeprefix("crawl/")].kind for row in documents)
    assert kept["python"] + kept["c"] >= 200 and kept["prose"] <= 6
    assert {row["rule"] for row in dropped} == {"below_threshold", "seed_of_other"}
    for row in dropped:
        assert row["step"] == "recall"
        if row["rule"] == "below_threshold":
            assert row["value"] < row["threshold"] == 0.5


def test_rounds_and_domains_are_written_for_whoever_annotates_urls(recalled: Recalled) -> None:
    """One row a round with precision and recall on the held-out seed; domains of code first."""
    settled = recalled.artifact("settle")
    one, two = rows(settled, "rounds")
    assert (one["iteration"], two["iteration"]) == (1, 2)
    assert two["positives"] > one["positives"] and one["joined"] > 20 > two["joined"]
    assert two["negatives"] < one["negatives"], "a page that has joined is a negative no more"
    assert one["pages"] == len(recalled.pages) and one["held_code"] >= 8 and one["held_other"] >= 1
    assert two["recalled"] > one["recalled"] and two["recall"] >= one["recall"] >= 0.5
    assert one["precision"] == 1.0
    domains = rows(settled, "domains")
    assert sum(domain["pages"] for domain in domains) == len(recalled.pages)
    code = [domain["domain"] for domain in domains if domain["code_related"]]
    assert set(code) == {small_web.FORUM, *(host.removeprefix("www.") for host in small_web.CODE_HOSTS)}
    assert [domain["domain"] for domain in domains][: len(code)] == code


def test_data_downstream_reads_the_pages(recalled: Recalled) -> None:
    """Sign and refine take them like other documents."""
    bench, plan = recalled.benches[3], recalled.plans[3]
    path = bench.root / "build-tiny-3" / "plan.json"
    assert not bench.run(plan, path, until="web/refine").failed
    refined = bench.store.find(plan.task("web/refine").fingerprint)
    assert refined.manifest["stats"]["kept"] > 150


# ---------------------------------------------------------------- operators by hand


def pages_of(root: Path, found: list[dict[str, Any]], name: str = "crawl") -> ir.Reader:
    """A reader of pages."""
    path = root / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(found), path)
    return ir.Reader(source=name, format="parquet", columns=URL_COLUMNS, location=str(path))


def scores_of(bench: Bench, *found: tuple[str, float]) -> Artifact:
    """Scores of pages given as URL and score, on the host that the URL starts with."""
    table = [
        {"position": n, "url": url, "domain": url.partition("/")[0], "score": score, "words": url}
        for n, (url, score) in enumerate(found)
    ]
    artifact = bench.table("scores", table)
    (artifact.path / "candidates").mkdir()
    low = [row for row in table if row["score"] < 0.5] or table[:0]
    pq.write_table(
        pa.Table.from_pylist(low, schema=pa.Table.from_pylist(table).schema), artifact.path / "candidates" / "0.parquet"
    )
    return artifact


def quality_of(bench: Bench, **changes: int) -> Artifact:
    """How a round's classifier did."""
    names = ("positives", "negatives", "held_code", "held_other", "true_positives", "false_positives")
    return bench.table("quality", [{**dict.fromkeys(names, 4), **changes}])


def test_a_domain_is_code_related_above_the_share_and_not_at_it(bench: Bench) -> None:
    """One page of ten is a tenth, and a tenth is not more than a tenth; counted in whole numbers."""
    at = [(f"at/{n}", 0.9 if n == 0 else 0.1) for n in range(10)]
    above = [(f"above/{n}", 0.5 if n == 0 else 0.1) for n in range(9)]
    op = ir.ExpandWeb(iteration=1, threshold=0.5, domain_share=Fraction(1, 10))
    done = bench.run(
        expand_web, op, score=[scores_of(bench, *at, *above, ("/no-host", 0.9))], train=[quality_of(bench)]
    )
    assert text(done, "domains", "domain", "pages", "recalled", "code_related") == (
        " | 1 | 1 | False\nabove | 9 | 1 | True\nat | 10 | 1 | False\n"
    )
    assert {row["domain"] for row in rows(done, "joined")} == {"above"}
    (row,) = rows(done, "rounds")
    assert (row["domains"], row["joined"], row["precision"], row["recall"]) == (1, 8, 0.5, 1.0)


def test_what_has_joined_before_does_not_join_again_and_doubles_join_once(bench: Bench) -> None:
    """By URL."""
    scores = scores_of(bench, ("a/1", 0.9), ("a/2", 0.1), ("a/3", 0.1), ("a/3", 0.2))
    before = bench.table("joined", [{"position": 1, "url": "a/2", "domain": "a", "words": "1"}])
    op = ir.ExpandWeb(iteration=2, threshold=0.5, domain_share=Fraction(1, 10))
    quality = quality_of(bench, held_other=0, held_code=0)
    done = bench.run(expand_web, op, score=[scores], train=[quality], joined=[before])
    assert text(done, "joined", "position", "url") == "2 | a/3\n"
    (row,) = rows(done, "rounds")
    assert (row["precision"], row["recall"]) == (None, None), "without held-out pages nothing is measured"


def test_verdicts(bench: Bench) -> None:
    """The first page of a URL stays if it is recalled, a seed or has joined."""
    scores = scores_of(
        bench, ("a/r", 0.9), ("a/r", 0.9), ("a/low", 0.1), ("a/seed", 0.1), ("a/other", 0.9), ("a/j", 0.2)
    )
    seeds = [{"key": "1", "url": "a/seed", "code": True, "held_out": False, "words": ""}]
    seeds += [
        {"key": str(n), "url": url, "code": False, "held_out": True, "words": ""}
        for n, url in enumerate(["a/other", ""])
    ]
    joined = bench.table("joined", [{"position": 5, "url": "a/j", "domain": "a", "words": "1"}])
    expand = bench.run(
        expand_web,
        ir.ExpandWeb(iteration=1, threshold=0.5, domain_share=Fraction(1, 10)),
        score=[scores],
        train=[quality_of(bench)],
        joined=[joined],
    )
    pq.write_table(pq.read_table(joined.files("joined")[0]), expand.path / "joined" / "more.parquet")
    done = bench.run(
        settle_web,
        ir.SettleWeb(source="s", threshold=0.5),
        score=[scores],
        segment=[bench.table("seed", seeds)],
        expand=[expand],
    )
    assert text(done, "verdicts", "position", "kept_as", "rule", "kept") == (
        "0 | recalled | None | None\n1 | None | duplicate_url | s/a/r\n2 | url_pattern | None | None\n"
        "3 | seed | None | None\n4 | None | seed_of_other | None\n5 | url_pattern | None | None\n"
    )


@pytest.mark.parametrize(
    ("pattern", "url", "matches"),
    [
        ("%forum.example/questions%", "https://forum.example/questions/1", True),
        ("%forum.example/questions%", "https://forum.example/users/1", False),
        ("%my.host%blog%", "http://my.host/u/7/blog/x", True),
        ("forum.example/%", "https://forum.example/a", False),
        ("%a_b%", "https://host/axb", False),
        ("%a_b%", "https://host/a_b", True),
        ("%it's%", "https://host/it's", True),
        ("%a\\b%", "https://host/a\\b", True),
        ("%forum.example%", "https://forumxexample/", False),
    ],
)
def test_url_patterns(bench: Bench, pattern: str, url: str, matches: bool) -> None:
    """`%` is anything, every other character is itself."""
    import duckdb

    from compiler.emit.duckdb_sql import queries

    op = ir.ScoreWeb(readers=(), page_bytes=9, threshold=0.5, url_patterns=(pattern,))
    page = pa.table({"position": [0, 1], "url": [url, url], "domain": ["", ""], "score": [0.4, 0.6], "words": ["", ""]})
    with duckdb.connect() as connection:
        connection.register("page", page)
        found = connection.sql(queries(op)["candidates"]).fetchall()
    assert found == ([(0, url, "", "")] if matches else []), "and only where the score is below the threshold"


@pytest.fixture
def trained(bench: Bench, tmp_path: Path) -> tuple[Artifact, Artifact]:
    """A segmenter over two alphabets and a classifier that tells them apart."""
    segment = bench.directory()
    learn(iter(["for x in range(9): print(x)\n" * 9, "the river and the sea\n" * 9]), 270, segment / "segmenter")
    from runtime.data.web import classifier
    from runtime.data.web.words import Segmenter

    words = Segmenter(segment / "segmenter").words
    (model := bench.directory() / "model").mkdir()
    pairs = [(CODE, words("for x in range(9): print(x)")), (OTHER, words("the river and the sea"))] * 40
    classifier.train(pairs, CLASSIFIER, model, tmp_path)
    return Artifact(path=segment), Artifact(path=model.parent)


def test_pages_without_text_or_url_are_dropped_by_name(bench: Bench, tmp_path: Path, trained: Any) -> None:
    """They are in no other table, and positions are those of the file."""
    reader = pages_of(
        tmp_path,
        [
            {"url": "https://a.example/1", "text": "for x in range(9): print(x)"},
            {"url": None, "text": "the river"},
            {"url": "https://a.example/2", "text": None},
            {"url": "https://a.example/3", "text": "the river and the sea"},
        ],
    )
    segment, train = trained
    op = ir.ScoreWeb(readers=(reader,), page_bytes=100, threshold=0.5)
    scored = bench.run(score_web, op, segment=[segment], train=[train])
    assert [(row["position"], row["url"], row["score"] >= 0.5) for row in rows(scored, "scores")] == [
        (0, "https://a.example/1", True),
        (3, "https://a.example/3", False),
    ]
    seed = bench.table("seed", [{"key": "1", "url": "", "code": True, "held_out": False, "words": ""}])
    expand = bench.run(
        expand_web,
        ir.ExpandWeb(iteration=1, threshold=0.5, domain_share=Fraction(1, 10)),
        score=[scored],
        train=[quality_of(bench)],
    )
    settled = bench.run(
        settle_web, ir.SettleWeb(source="crawl", threshold=0.5), score=[scored], segment=[seed], expand=[expand]
    )
    done = bench.run(recall_web, ir.RecallWeb(readers=(reader,), threshold=0.5), settle=[settled])
    assert text(done, "documents", "doc_id", "repo", "path") == "crawl/https://a.example/1 | a.example | /1\n"
    assert text(done, "dropped", "doc_id", "rule", "threshold") == (
        "crawl/crawl.parquet#2 | no_url | None\ncrawl/https://a.example/2 | missing_content | None\n"
        "crawl/https://a.example/3 | below_threshold | 0.5\n"
    )
    assert done.manifest["stats"]["in"] == 4


def test_the_sample_is_about_as_large_as_asked_and_the_same_for_any_shards(bench: Bench, tmp_path: Path) -> None:
    """By a hash of the URL; all pages where there are fewer."""
    reader = pages_of(tmp_path, [{"url": f"https://a.example/{n}", "text": "é" * 50} for n in range(2000)])
    op = ir.SampleWeb(readers=(reader,), pages=500, page_bytes=9)
    one, four = bench.run(sample_web, op), bench.run(sample_web, op, 4)
    assert text(one, "sample") == text(four, "sample")
    assert 430 < len(rows(one, "sample")) < 570
    assert {row["text"] for row in rows(one, "sample")} == {"éééé"}
    other = ir.SampleWeb(readers=(reader,), pages=500, page_bytes=9, seed=1)
    assert text(bench.run(sample_web, other), "sample") != text(one, "sample")
    every = bench.run(sample_web, ir.SampleWeb(readers=(reader,), pages=5000, page_bytes=9))
    assert len(rows(every, "sample")) == 2000


def segmented(bench: Bench, tmp_path: Path, seeds: list[dict[str, Any]], sample: list[dict[str, str]]) -> Artifact:
    """The seed and the negatives in words."""
    reader = pages_of(tmp_path, seeds, "seed")
    op = ir.SegmentWeb(readers=(reader,), vocab_size=262, page_bytes=1000, held_out=Fraction(0))
    return bench.run(segment_web, op, sample=[bench.table("sample", sample)])


def test_negatives_are_the_sample_less_the_seed(bench: Bench, tmp_path: Path) -> None:
    """By URL and by text; a text that stands twice in the seed counts once."""
    seeds = [
        {"text": "abab abab abab", "url": "u/1"},
        {"text": "abab abab abab", "url": "u/2"},
        {"text": "cdcd cdcd", "url": None},
    ]
    sample = [{"url": u, "text": t} for u, t in (("u/1", "new"), ("u/9", "cdcd cdcd"), ("u/8", "efef efef efef"))]
    done = segmented(bench, tmp_path, seeds, sample)
    assert text(done, "negatives", "url") == "u/8\n"
    assert text(done, "seed", "url", "code", "held_out") == " | True | False\nu/1 | True | False\n"
    assert done.manifest["stats"] == {"seeds": 2, "negatives": 1}


# ---------------------------------------------------------------- bad input


def test_pages_need_a_url_and_a_text(bench: Bench, tmp_path: Path) -> None:
    """By the names that are there."""
    reader = pages_of(tmp_path, [{"link": "https://a.example/1", "text": "x"}])
    with pytest.raises(UserError) as error:
        bench.run(sample_web, ir.SampleWeb(readers=(reader,), pages=5, page_bytes=9))
    assert error.value.what == "pages have no column 'url'; their columns are 'link', 'text'"
    assert "url and text" in error.value.fix


@pytest.mark.parametrize(
    ("seeds", "what"),
    [
        ([{"body": "x"}], "the seed has no column 'text' of strings; its columns are 'body'"),
        ([{"text": 7}], "the seed has no column 'text' of strings; its columns are 'text'"),
        ([{"text": "x", "label": 2}], "a seed page has label 2, which is neither true nor false"),
        ([{"text": "x", "label": None}], "a seed page has label None, which is neither true nor false"),
        ([{"text": ""}], "the seed holds no page with text, in 1 files"),
    ],
)
def test_a_bad_seed_is_refused(bench: Bench, tmp_path: Path, seeds: list[dict[str, Any]], what: str) -> None:
    """With what is there, and how to write it."""
    with pytest.raises(UserError) as error:
        segmented(bench, tmp_path, seeds, [{"url": "u", "text": "abab abab abab abab cdcd cdcd efef efef"}])
    assert error.value.what == what
    assert error.value.fix


def test_too_little_text_for_the_vocabulary_is_said(bench: Bench, tmp_path: Path) -> None:
    """With the field to change."""
    with pytest.raises(UserError, match="vocab_size of WebRecall"):
        segmented(bench, tmp_path, [{"text": "a"}], [{"url": "u", "text": "b"}])


@pytest.mark.parametrize(("code", "wanted"), [(True, "no page is left as a negative"), (False, "no seed page is left")])
def test_a_classifier_needs_both_kinds(bench: Bench, code: bool, wanted: str) -> None:
    """And says which is missing."""
    segment = bench.table("seed", [{"key": "1", "url": "", "code": code, "held_out": False, "words": "1 2"}])
    (segment.path / "negatives").mkdir()
    empty = pa.schema({"url": pa.string(), "words": pa.large_string()}).empty_table()
    pq.write_table(empty, segment.path / "negatives" / "0.parquet")
    op = ir.TrainWeb(classifier=CLASSIFIER, threshold=0.5, pages=9)
    with pytest.raises(UserError, match=wanted):
        bench.run(train_web, op, segment=[segment])
