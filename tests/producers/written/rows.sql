-- Writes the rows of row.py and the times of times.py as PostgreSQL's functions do: one file each in the folder that `out` names.
\set ON_ERROR_STOP on
\t
\a
CREATE TEMPORARY TABLE rows AS
SELECT k, CASE WHEN k % 5 = 2 THEN (CASE k % 2 WHEN 1 THEN 'Infinity' ELSE '-Infinity' END)::float8 ELSE k % 11 END AS i,
    CASE WHEN k % 4 = 3 THEN NULL ELSE (k % 13)::float8 END AS m, (CASE WHEN k % 3 = 1 THEN 'NaN' ELSE (k % 7)::text END)::float8 AS n,
    (k % 50 / 8.0)::numeric(9, 3) AS x, k % 5 + (k % 50) / 8.0::float8 AS y
FROM generate_series(0, 59) AS k;
\o :out/rows/postgresql.jsonl
SELECT row_to_json(of) FROM (SELECT i, m, n, x, y FROM rows ORDER BY k) AS of;
\o :out/rows/postgresql_jsonb.jsonl
SELECT jsonb_build_object('i', i, 'm', m, 'n', n, 'x', x, 'y', y) FROM rows ORDER BY k;
CREATE TEMPORARY TABLE times AS
SELECT timestamptz '2026-03-29 01:30:00.000456Z' + k * interval '7.5 s' AS t, 18446744073709551617 + k AS id, k % 7 AS x, k % 7 + 1 AS y
FROM generate_series(0, 39) AS k;
SET TimeZone = 'Asia/Kolkata';
\o :out/times/postgresql_timestamptz.jsonl
SELECT row_to_json(of) FROM (SELECT * FROM times ORDER BY id) AS of;
\o :out/times/postgresql_timestamp.jsonl
SELECT row_to_json(of) FROM (SELECT t AT TIME ZONE 'UTC' AS t, id, x, y FROM times ORDER BY id) AS of;
\o :out/times/postgresql_text.jsonl
SELECT json_build_object('t', t::text, 'id', id, 'x', x, 'y', y) FROM times ORDER BY id;
\o :out/times/postgresql_epoch.jsonl
SELECT json_build_object('t', extract(epoch FROM t), 'id', id, 'x', x, 'y', y) FROM times ORDER BY id;
\o
