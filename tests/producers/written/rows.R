# Writes the rows of row.py and the times of times.py with jsonlite: one file each in the folder named by the argument.
library(jsonlite)
options(digits.secs = 6)
folder <- commandArgs(trailingOnly = TRUE)[1]
lines <- function(name, of) writeLines(of, file.path(folder, paste0(name, ".jsonl")))
k <- 0:59
rows <- data.frame(
  i = ifelse(k %% 5 == 2, ifelse(k %% 2 == 1, Inf, -Inf), k %% 11),
  m = ifelse(k %% 4 == 3, NA, k %% 13),
  n = ifelse(k %% 3 == 1, NaN, k %% 7),
  x = k %% 50 / 8,
  y = k %% 5 + k %% 50 / 8
)
each <- function(...) vapply(seq_len(nrow(rows)), function(row) toJSON(as.list(rows[row, ]), ...), "")
lines("rows/jsonlite_boxed", each())
lines("rows/jsonlite_boxed_null", each(na = "null"))
lines("rows/jsonlite_unboxed", each(auto_unbox = TRUE))
out <- file(file.path(folder, "rows/jsonlite_stream.jsonl"), "w")
stream_out(rows, out, verbose = FALSE)
close(out)
k <- 0:39
t <- as.POSIXct(1774747800 + 7.5 * k + 0.000456, origin = "1970-01-01", tz = "UTC")
times <- data.frame(t = t, id = sprintf("k%d", k), x = k %% 7, y = k %% 7 + 1)
timed <- function(name, ...) lines(name, vapply(seq_len(nrow(times)), function(row) toJSON(unbox(times[row, ]), digits = NA, ...), ""))
timed("times/jsonlite")
timed("times/jsonlite_iso_s", POSIXt = "ISO8601")
timed("times/jsonlite_epoch", POSIXt = "epoch")
timed("times/jsonlite_mongo", POSIXt = "mongo")
