-- Inserts, an index, joins and groups, all in memory.
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, price INTEGER, name TEXT);
BEGIN;
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 12000)
  INSERT INTO item SELECT n, (n * 7919) % 101, (n * 104729) % 9973, 'item ' || ((n * 31337) % 12007) FROM number;
COMMIT;
CREATE INDEX item_kind ON item (kind, price);
CREATE INDEX item_name ON item (name);
SELECT kind, count(*), sum(price), max(name) FROM item GROUP BY kind ORDER BY sum(price) DESC LIMIT 10;
SELECT count(*) FROM item a JOIN item b ON b.kind = a.kind AND b.price BETWEEN a.price AND a.price + 60;
UPDATE item SET price = price + 1 WHERE kind % 3 = 0;
SELECT count(*), total(price) FROM item WHERE name LIKE '%77%';
DELETE FROM item WHERE price % 5 = 0;
SELECT count(*), min(name), max(name), sum(length(name)) FROM item;
