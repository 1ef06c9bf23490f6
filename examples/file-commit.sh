#!/bin/sh
# A worker for one item: reads a commit as JSON from standard input and prints its receipt as one line of JSON.
# The category depends on the kind of the commit.
item=$(cat)
subject=${item#*'"subject":"'}; subject=${subject%%'","files"'*}
kind=${item#*'"kind":"'};       kind=${kind%%'"'*}
case $kind in
  feat | fix)   category=read ;;
  docs | chore) category=archive ;;
  *)            category=look ;;
esac
subject=$(printf %s "$subject" | tr -d '"\\')
printf '{"receipt": "- Filed: %s | %s", "category": "%s"}\n' "$TASKTALLY_ITEM" "$subject" "$category"
