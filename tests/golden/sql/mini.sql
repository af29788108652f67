-- code/hold-out: twins
CREATE TEMP TABLE twin AS
SELECT position, min(doc_id) AS doc_id, min(band) AS band, arg_min(kept, (band, kept)) AS kept
FROM (
  SELECT position, doc_id, 0 AS band, held.kept
  FROM keys JOIN (
    SELECT sha256, min(doc_id) AS kept FROM held_keys WHERE held_out GROUP BY sha256
  ) AS held USING (sha256)
  WHERE NOT held_out
  UNION ALL
  SELECT position, keys.doc_id, band, held.kept
  FROM (
    SELECT position, doc_id, unnest(range(1, 17))::INTEGER AS band, unnest([near_0_0, near_0_1, near_0_2, near_0_3, near_0_4, near_0_5, near_0_6, near_0_7, near_0_8, near_0_9, near_0_10, near_0_11, near_0_12, near_0_13, near_0_14, near_0_15]) AS value
    FROM keys WHERE NOT held_out
  ) AS keys JOIN (
    SELECT band, value, min(doc_id) AS kept FROM (
    SELECT position, doc_id, unnest(range(1, 17))::INTEGER AS band, unnest([near_0_0, near_0_1, near_0_2, near_0_3, near_0_4, near_0_5, near_0_6, near_0_7, near_0_8, near_0_9, near_0_10, near_0_11, near_0_12, near_0_13, near_0_14, near_0_15]) AS value
    FROM held_keys WHERE held_out
  )
    WHERE value IS NOT NULL GROUP BY band, value
  ) AS held USING (band, value)
)
GROUP BY position;

-- code/hold-out: kept
SELECT position, language, held_out, sha256 FROM keys ANTI JOIN twin USING (position) ORDER BY position;

-- code/hold-out: dropped
SELECT doc_id, 'hold-out' AS step,
  CASE WHEN band = 0 THEN 'held_out_exact' ELSE 'held_out_near' END AS rule,
  NULL::DOUBLE AS value, 0.9785720620877001::DOUBLE AS threshold, kept
FROM twin ORDER BY doc_id;

-- code/deduplicate/edges: exact
WITH candidate AS (
  SELECT item, sha256 FROM band
  WHERE sha256 IS NOT NULL AND hash(sha256) % getvariable('parts') = getvariable('part')
  
), bucket AS (
  SELECT sha256, min(item) AS first FROM candidate GROUP BY sha256 HAVING count(*) > 1
)
SELECT first, item AS second, getvariable('band')::INTEGER AS band
FROM candidate JOIN bucket USING (sha256)
WHERE item <> first
ORDER BY first, second;

-- code/deduplicate/edges: near
WITH candidate AS (
  SELECT min(item) AS item, value FROM band
  WHERE value IS NOT NULL AND hash(value) % getvariable('parts') = getvariable('part')
  GROUP BY value, sha256
), bucket AS (
  SELECT value, min(item) AS first FROM candidate GROUP BY value HAVING count(*) > 1
)
SELECT first, item AS second, getvariable('band')::INTEGER AS band
FROM candidate JOIN bucket USING (value)
WHERE item <> first
ORDER BY first, second;

-- code/deduplicate/cluster: pairs
SELECT DISTINCT first, second FROM edges WHERE band > 0;

-- code/deduplicate/cluster: member
CREATE TEMP TABLE member AS
WITH twin AS (
  SELECT second AS item, first FROM edges WHERE band = 0
), touched AS (
  SELECT item, coalesce(twin.first, item) AS stands_for
  FROM (SELECT second AS item FROM edges UNION SELECT first FROM edges) LEFT JOIN twin USING (item)
)
SELECT touched.item, coalesce(component.cluster, stands_for) AS cluster
FROM touched LEFT JOIN component ON component.item = stands_for;

-- code/deduplicate/cluster: ranked
CREATE TEMP TABLE ranked AS
WITH item AS (
  SELECT position AS item, doc_id AS name, sha256, held_out, stars, commit_time
  FROM keys SEMI JOIN member ON keys.position = member.item
)
SELECT item, name, row_number() OVER best AS rank, first_value(name) OVER best AS kept,
  sha256 = first_value(sha256) OVER best AS same
FROM item JOIN member USING (item)
WINDOW best AS (PARTITION BY cluster ORDER BY held_out DESC, stars DESC, commit_time DESC, name);

-- code/deduplicate/cluster: loser
CREATE TEMP TABLE loser AS
SELECT item AS position, name AS doc_id, same, kept FROM ranked WHERE rank > 1;

-- code/deduplicate/cluster: kept
SELECT position, language, held_out, sha256 FROM kept ANTI JOIN loser USING (position) ORDER BY position;

-- code/deduplicate/cluster: dropped
SELECT doc_id, 'deduplicate' AS step,
  CASE WHEN same THEN 'exact_duplicate' ELSE 'near_duplicate' END AS rule,
  NULL::DOUBLE AS value, 0.9785720620877001::DOUBLE AS threshold, kept
FROM loser ORDER BY doc_id;

-- code/downsample: sized
CREATE TEMP TABLE sized AS
SELECT d.doc_id, d.position, d.held_out, cap.bytes AS cap,
  sum(CASE WHEN d.held_out THEN 0 ELSE d.bytes END) OVER (
    PARTITION BY d.language ORDER BY md5('0/' || d.doc_id), d.doc_id) AS running
FROM (SELECT doc_id, position, language, held_out, bytes FROM documents SEMI JOIN selection USING (position)) d
LEFT JOIN (VALUES ('html', 60000), ('javascript', 1000000)) AS cap(language, bytes) USING (language);

-- code/downsample: selection
SELECT position FROM sized WHERE held_out OR cap IS NULL OR running <= cap ORDER BY position;

-- code/downsample: dropped
SELECT doc_id, 'downsample' AS step, 'language_cap' AS rule, running::DOUBLE AS value,
  cap::DOUBLE AS threshold, NULL::VARCHAR AS kept
FROM sized WHERE NOT (held_out OR cap IS NULL OR running <= cap) ORDER BY doc_id;

-- algorithmic/selectkeywords: matched
CREATE TEMP TABLE matched AS
SELECT doc_id, position, contains(text, lower('algorithm')) OR contains(text, lower('class solution')) OR contains(text, lower('def solution')) OR contains(text, lower('leetcode')) AS hit
FROM (SELECT doc_id, position, lower(content) AS text FROM documents SEMI JOIN selection USING (position));

-- algorithmic/selectkeywords: selection
SELECT position FROM matched WHERE hit ORDER BY position;

-- algorithmic/selectkeywords: dropped
SELECT doc_id, 'selectkeywords' AS step, 'no_keyword' AS rule, NULL::DOUBLE AS value,
  NULL::DOUBLE AS threshold, NULL::VARCHAR AS kept
FROM matched WHERE NOT hit ORDER BY doc_id;

-- tokenizer: sample
SELECT content FROM documents SEMI JOIN (
  SELECT position, sum(bytes) OVER (ORDER BY md5('0/' || doc_id), doc_id) - bytes AS before
  FROM documents SEMI JOIN selection USING (position)
  WHERE NOT held_out
  QUALIFY before < getvariable('sample_bytes')
) USING (position)
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
