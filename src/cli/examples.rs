//! Examples at the end of each command's `--help`. A test runs those that can end by themselves.

pub(super) const THALWEG: &str = "\
Examples:
  thalweg init prices.csv                 # looks at your data, writes settings.toml
  thalweg replay prices.csv               # predicts and learns, record by record
  thalweg                                 # the daemon

More: docs/commands.md; what an error means: docs/errors.md";

pub(super) const RUN: &str = "\
Examples:
  thalweg run --until-caught-up
  thalweg run --settings /etc/thalweg/settings.toml --set logging.format=json";

pub(super) const INIT: &str = "\
Examples:
  thalweg init prices.csv
  thalweg init prices.csv --target price --output prices.toml
  cat prices.csv | thalweg init - --output -
  thalweg init --topic prices --brokers kafka-1:9092";

pub(super) const CHECK: &str = "\
Examples:
  thalweg check
  thalweg check prices.csv --set schema.target=price
  thalweg check --connect";

pub(super) const REPLAY: &str = "\
Examples:
  thalweg replay prices.csv --set schema.target=price
  thalweg replay prices.csv --set schema.target=price --predictions out.csv --report json
  thalweg replay 'prices*.csv' --set schema.target=price   # several as one
  thalweg generate -n 1000 | thalweg replay -";

pub(super) const COMPARE: &str = "\
Examples:
  thalweg compare prices.csv --set schema.target=price
  thalweg compare --function friedman_drift planes2d -n 400 --seeds 2
  thalweg compare prices.csv --set schema.target=price --grid 'kind=\"linear\", l2=[0, 1]'";

pub(super) const GENERATE: &str = "\
Examples:
  thalweg generate --function planes2d -n 1000 --format csv > planes.csv
  thalweg generate --function friedman_drift:gra -n 1000 --seed 7";

pub(super) const MODEL: &str = "\
Examples:
  thalweg model show mixture
  thalweg model restore";

pub(super) const MODEL_SHOW: &str = "\
Examples:
  thalweg model show
  thalweg model show hoeffding_tree --depth 2";

pub(super) const MODEL_EXPORT: &str = "\
Examples:
  thalweg model export linear --output linear.json";

pub(super) const MODEL_RESTORE: &str = "\
Examples:
  thalweg model restore                   # lists the checkpoints
  thalweg model restore --checkpoint 2    # goes back to one";

pub(super) const MODEL_RELEARN: &str = "\
Examples:
  thalweg model relearn                   # says what it would do
  thalweg model relearn --yes";

pub(super) const HEALTH: &str = "\
Examples:
  thalweg health || systemctl status thalweg";

pub(super) const SCHEMA: &str = "\
Examples:
  thalweg schema > prediction.avsc";

pub(super) const DEAD_LETTERS: &str = "\
Examples:
  thalweg dead-letters show
  thalweg dead-letters retry --all";

pub(super) const DEAD_LETTERS_SHOW: &str = "\
Examples:
  thalweg dead-letters show --limit 5
  thalweg dead-letters show --reason not_a_number --json";

pub(super) const DEAD_LETTERS_RETRY: &str = "\
Examples:
  thalweg dead-letters retry --reason bad_timestamp
  thalweg dead-letters retry --all";
