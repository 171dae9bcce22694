#!/usr/bin/env bash
# Apache Kafka 4.4.0: three new nodes with process.roles=broker,controller, a StandardAuthorizer and
# allow.everyone.if.no.acl.found=true elect no controller. Expected was a quorum, as there is no ACL, and as one such node alone
# starts. Until a node has read the ACLs out of the cluster's metadata it takes requests of super users only, votes too, and
# nobody can write metadata before a vote. The controllers have to be super users themselves: User:ANONYMOUS with PLAINTEXT.
# What is logged does not say so: on each node, some 60 times a second, "Unexpected error handling request" with an
# AuthorizerNotReadyException, and UNKNOWN_SERVER_ERROR where the vote was asked for.
#
# Seen: none of three answers within 20 s, with some 1200 such exceptions each, where super.users=User:client; all three do
# where super.users=User:client;User:ANONYMOUS, and so does one node where it is User:client. Needs Java and Maven.
set -euo pipefail

folder="$(mktemp -d)"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
port="${1:-26040}"
kafka() { "$here/../tests/kafka/kafka" --version 4.4.0 --port "$port" --dir "$folder/broker" "$@"; }
starting=
trap '[[ -z "$starting" ]] || kill "$starting" 2>/dev/null || true; kafka clean >/dev/null; rm -rf "$folder"' EXIT
settings=(--set authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
  --set allow.everyone.if.no.acl.found=true)

kafka start --brokers 1 "${settings[@]}" --set "super.users=User:client"
kafka clean
kafka start --brokers 3 "${settings[@]}" --set "super.users=User:client;User:ANONYMOUS"
kafka clean

# Without the function, so that what is ended is the script.
"$here/../tests/kafka/kafka" --version 4.4.0 --port "$port" --dir "$folder/broker" --brokers 3 start "${settings[@]}" \
  --set "super.users=User:client" >"$folder/started" 2>&1 &
starting=$!
sleep 20
for number in 1 2 3; do
  log="$folder/broker/broker-$number/log"
  refused="$(grep -A 1 'Unexpected error handling request.*apiKey=VOTE' "$log" | grep -cxF \
    org.apache.kafka.common.errors.AuthorizerNotReadyException || true)"
  answers="$(grep -c 'Unexpected error UNKNOWN_SERVER_ERROR in VOTE response' "$log" || true)"
  echo "node $number: $refused votes not given, $answers not got"
  ((refused > 10 && answers > 10)) || { echo "it is logged otherwise now" >&2; exit 1; }
done
! grep -q ' answers on ' "$folder/started" || { echo "there is a quorum now" >&2; exit 1; }
! kafka status || { echo "there is a quorum now" >&2; exit 1; }
