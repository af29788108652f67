-- code/hold-out: twins
CREATE TEMP TABLE twin AS
WITH bucket AS (
  SELECT doc_id, 0 AS band, hex(sha256) AS value FROM keys WHERE NOT held_out
  UNION ALL
  SELECT doc_id, unnest(range(1, len(near_0) + 1))::INTEGER AS band, unnest(near_0)::VARCHAR AS value
  FROM keys WHERE NOT held_out AND near_0 IS NOT NULL
), held AS (
  SELECT band, value, min(doc_id) AS kept FROM (
  SELECT doc_id, 0 AS band, hex(sha256) AS value FROM held_keys WHERE held_out
  UNION ALL
  SELECT doc_id, unnest(range(1, len(near_0) + 1))::INTEGER AS band, unnest(near_0)::VARCHAR AS value
  FROM held_keys WHERE held_out AND near_0 IS NOT NULL
  ) GROUP BY band, value
)
SELECT bucket.doc_id, min(band) AS band, arg_min(held.kept, (band, held.kept)) AS kept
FROM bucket JOIN held USING (band, value)
GROUP BY bucket.doc_id;

-- code/hold-out: kept
SELECT doc_id, repo, language, held_out FROM keys ANTI JOIN twin USING (doc_id) ORDER BY doc_id;

-- code/hold-out: dropped
SELECT doc_id, 'hold-out' AS step,
  CASE WHEN band = 0 THEN 'held_out_exact' ELSE 'held_out_near' END AS rule,
  NULL::DOUBLE AS value, 0.9785720620877001::DOUBLE AS threshold, kept
FROM twin ORDER BY doc_id;

-- code/deduplicate/edges: edges
WITH candidate AS (
  SELECT doc_id AS item, sha256, near_0 AS bands FROM keys SEMI JOIN kept USING (doc_id)
), signed AS (
  SELECT item, bands FROM candidate QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY item) = 1
), banded AS (
  SELECT item, unnest(bands) AS value, unnest(range(1, len(bands) + 1))::INTEGER AS band
  FROM signed WHERE bands IS NOT NULL
)
SELECT min(item) OVER (PARTITION BY sha256) AS first, item AS second, 0 AS band
FROM candidate
WHERE 0 % getvariable('shards') = getvariable('shard')
QUALIFY first <> second
UNION ALL
SELECT min(item) OVER (PARTITION BY band, value) AS first, item AS second, band AS band
FROM banded
WHERE band % getvariable('shards') = getvariable('shard')
QUALIFY first <> second
ORDER BY band, first, second;

-- code/deduplicate/cluster: ranked
CREATE TEMP TABLE ranked AS
WITH item AS (
  SELECT k.doc_id AS item, k.sha256, kept.held_out, k.stars, k.commit_time
  FROM keys k JOIN kept USING (doc_id)
), clustered AS (
  SELECT item.*, coalesce(component.cluster, item.item) AS cluster
  FROM item LEFT JOIN component USING (item)
)
SELECT item, row_number() OVER best AS rank, first_value(item) OVER best AS kept,
  sha256 = first_value(sha256) OVER best AS same
FROM clustered
WINDOW best AS (PARTITION BY cluster ORDER BY held_out DESC, stars DESC, commit_time DESC, item);

-- code/deduplicate/cluster: kept
SELECT doc_id, repo, language, held_out
FROM kept SEMI JOIN (SELECT item AS doc_id FROM ranked WHERE rank = 1) USING (doc_id)
ORDER BY doc_id;

-- code/deduplicate/cluster: dropped
SELECT kept.doc_id, 'deduplicate' AS step,
  CASE WHEN same THEN 'exact_duplicate' ELSE 'near_duplicate' END AS rule,
  NULL::DOUBLE AS value, 0.9785720620877001::DOUBLE AS threshold, ranked.kept AS kept
FROM kept JOIN ranked ON kept.doc_id = ranked.item
WHERE ranked.rank > 1
ORDER BY kept.doc_id;

-- code/downsample: sized
CREATE TEMP TABLE sized AS
SELECT d.doc_id, d.held_out, cap.bytes AS cap,
  sum(CASE WHEN d.held_out THEN 0 ELSE d.bytes END) OVER (
    PARTITION BY d.language ORDER BY md5('0/' || d.doc_id), d.doc_id) AS running
FROM (SELECT doc_id, language, held_out, bytes FROM documents SEMI JOIN selection USING (doc_id)) d
LEFT JOIN (VALUES ('html', 60000), ('javascript', 1000000)) AS cap(language, bytes) USING (language);

-- code/downsample: selection
SELECT doc_id FROM sized WHERE held_out OR cap IS NULL OR running <= cap ORDER BY doc_id;

-- code/downsample: dropped
SELECT doc_id, 'downsample' AS step, 'language_cap' AS rule, running::DOUBLE AS value,
  cap::DOUBLE AS threshold, NULL::VARCHAR AS kept
FROM sized WHERE NOT (held_out OR cap IS NULL OR running <= cap) ORDER BY doc_id;

-- algorithmic/selectkeywords: matched
CREATE TEMP TABLE matched AS
SELECT doc_id, contains(text, lower('algorithm')) OR contains(text, lower('class solution')) OR contains(text, lower('def solution')) OR contains(text, lower('leetcode')) AS hit
FROM (SELECT doc_id, lower(content) AS text FROM documents SEMI JOIN selection USING (doc_id));

-- algorithmic/selectkeywords: selection
SELECT doc_id FROM matched WHERE hit ORDER BY doc_id;

-- algorithmic/selectkeywords: dropped
SELECT doc_id, 'selectkeywords' AS step, 'no_keyword' AS rule, NULL::DOUBLE AS value,
  NULL::DOUBLE AS threshold, NULL::VARCHAR AS kept
FROM matched WHERE NOT hit ORDER BY doc_id;

-- tokenizer: sample
SELECT content FROM (
  SELECT doc_id, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents SEMI JOIN selection USING (doc_id)
  WHERE NOT held_out
)
WHERE before < getvariable('sample_bytes')
ORDER BY doc_id;

-- code/pack: tokens
SELECT tokens FROM tokens ORDER BY md5('0/' || doc_id), doc_id;

-- algorithmic/pack: tokens
SELECT tokens FROM tokens ORDER BY md5('0/' || doc_id), doc_id;

-- sft1/encode-functions: pairs
SELECT instruction, output FROM (
  SELECT * FROM pairs QUALIFY row_number() OVER (PARTITION BY md5(output) ORDER BY pair_id) = 1
)
ORDER BY md5('0/' || pair_id), pair_id;

-- sft2/encode-explained: pairs
SELECT instruction, output FROM (
  SELECT * FROM pairs QUALIFY row_number() OVER (PARTITION BY md5(output) ORDER BY pair_id) = 1
)
ORDER BY md5('0/' || pair_id), pair_id;

-- pretrain/bits_per_byte: held_out
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents
  WHERE held_out
)
WHERE before < 400000
ORDER BY doc_id;

-- pretrain/bits_per_byte-ngram: held_out
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents
  WHERE held_out
)
WHERE before < 400000
ORDER BY doc_id;

-- anneal/bits_per_byte: held_out
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents
  WHERE held_out
)
WHERE before < 400000
ORDER BY doc_id;

-- anneal/bits_per_byte-ngram: held_out
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents
  WHERE held_out
)
WHERE before < 400000
ORDER BY doc_id;

-- sft1/bits_per_byte: held_out
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents
  WHERE held_out
)
WHERE before < 400000
ORDER BY doc_id;

-- sft1/bits_per_byte-ngram: held_out
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents
  WHERE held_out
)
WHERE before < 400000
ORDER BY doc_id;

-- sft2/bits_per_byte: held_out
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents
  WHERE held_out
)
WHERE before < 400000
ORDER BY doc_id;

-- sft2/bits_per_byte-ngram: held_out
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents
  WHERE held_out
)
WHERE before < 400000
ORDER BY doc_id;
