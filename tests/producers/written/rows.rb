# Writes the rows of row.py and the times of times.py with Ruby's json: one file each in the folder named by the argument.
require "bigdecimal"
require "json"
require "time"

lines = lambda do |name, count, &of|
  File.write(File.join(ARGV[0], "#{name}.jsonl"), (0...count).map { |k| "#{of.call(k)}\n" }.join)
end
row = lambda do |k|
  {
    i: k % 5 == 2 ? (k.odd? ? Float::INFINITY : -Float::INFINITY) : (k % 11).to_f,
    m: k % 4 == 3 ? nil : (k % 13).to_f,
    n: k % 3 == 1 ? Float::NAN : (k % 7).to_f,
    x: k % 50 / 8.0,
    y: k % 5 + k % 50 / 8.0,
  }
end
lines.call("rows/ruby", 60) { |k| JSON.generate(row.call(k), allow_nan: true) }
lines.call("rows/ruby_bigdecimal", 60) do |k|
  JSON.generate({**row.call(k), x: BigDecimal(k % 50 * 125) / 1000}, allow_nan: true)
end
timed = lambda do |name, &of|
  lines.call("times/#{name}", 40) do |k|
    time = Time.at((1774747800000 + 7500 * k) / 1000, (7500 * k) % 1000 * 1000 + 456, :usec, in: "UTC")
    JSON.generate({t: of.call(time), id: 18446744073709551617 + k, x: k % 7, y: k % 7 + 1})
  end
end
timed.call("ruby_utc_s") { |time| time }
timed.call("ruby_offset_s") { |time| time.getlocal("+05:30") }
timed.call("ruby_iso8601") { |time| time.getlocal("+05:30").iso8601(6) }
timed.call("ruby_float") { |time| time.to_f }
