#!/bin/sh
# A worker: one commit's JSON comes in on standard input, one line of JSON goes out.
# It files each commit by kind, as an agent would file mail.
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
