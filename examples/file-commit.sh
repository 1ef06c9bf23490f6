#!/bin/sh
# A worker for one item: reads a commit as JSON from standard input and prints its receipt as one line of JSON.
# The category depends on the kind of the commit.
item=$(cat)
# Sets `value` to the text of a field. The item is written as in its source: a space may follow the colon.
field() { value=${item#*"\"$1\":"}; value=${value# }; value=${value#\"}; value=${value%%\"[,\}]*}; }
field kind; kind=$value
field subject; subject=$(printf %s "$value" | tr -d '"\\')
case $kind in
  feat | fix)   category=read ;;
  docs | chore) category=archive ;;
  *)            category=look ;;
esac
printf '{"receipt": "- Filed: %s | %s", "category": "%s"}\n' "$TASKTALLY_ITEM" "$subject" "$category"
