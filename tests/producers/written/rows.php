<?php
// Writes the rows of row.py and the times of times.py with PHP's json_encode, which refuses NaN and infinities: one file each in the
// folder named by the argument.
$lines = function (string $name, int $count, callable $row, int $flags = 0) use ($argv): void {
    $of = array_map(fn(int $k): string => json_encode($row($k), JSON_THROW_ON_ERROR | $flags) . "\n", range(0, $count - 1));
    file_put_contents("$argv[1]/$name.jsonl", implode("", $of));
};
$row = fn(int $k): array => [
    "i" => $k % 5 == 2 ? null : (float) ($k % 11),
    "m" => $k % 4 == 3 ? null : (float) ($k % 13),
    "n" => $k % 3 == 1 ? null : (float) ($k % 7),
    "x" => $k % 50 / 8,
    "y" => $k % 5 + $k % 50 / 8,
];
$lines("rows/php", 60, $row);
$lines("rows/php_fractions", 60, $row, JSON_PRESERVE_ZERO_FRACTION);
// As PDO gives what a database holds, and number_format what people are shown.
$lines("rows/php_text", 60, fn(int $k): array => array_map(fn($of) => $of === null ? null : number_format($of, 3, ".", ""), $row($k)));
$time = function (int $k): DateTimeImmutable {
    $milliseconds = 1774747800000 + 7500 * $k;
    return DateTimeImmutable::createFromFormat("U.u", sprintf("%d.%03d456", intdiv($milliseconds, 1000), $milliseconds % 1000));
};
$timed = fn(callable $t): callable => fn(int $k): array => ["t" => $t($time($k)), "id" => "$k", "x" => $k % 7, "y" => $k % 7 + 1];
$lines("times/php_datetime", 40, $timed(fn($t) => $t->setTimezone(new DateTimeZone("UTC"))));
$lines("times/php_datetime_kolkata", 40, $timed(fn($t) => $t->setTimezone(new DateTimeZone("Asia/Kolkata"))));
$lines("times/php_atom_s", 40, $timed(fn($t) => $t->format(DATE_ATOM)));
$lines("times/php_rfc3339_extended", 40, $timed(fn($t) => $t->format(DATE_RFC3339_EXTENDED)));
$lines("times/php_microtime", 40, $timed(fn($t) => (float) $t->format("U.u")));
