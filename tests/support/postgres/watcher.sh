# Ends a test cluster and deletes its folder once standard input ends: when the test process has ended, however it did.
# Arguments: the folder, then the words that run a command as the owner of the cluster (none for the same user).
folder=$1
shift
trap '' INT HUP TERM
cat > /dev/null
cd /
"$@" sh -c '
    # The processes of the cluster work in its data folder. Elsewhere than on Linux, only the postmaster names it.
    processes() {
        if [ -d /proc/self ]; then
            for process in /proc/[0-9]*; do
                [ "$process/cwd" -ef "$0/data" ] && echo "${process#/proc/}"
            done
        else
            pgrep -f -- "$0/data"
        fi
    }
    # Line 7: key and number of a shared memory segment, which a killed postmaster leaves behind.
    segment=$(sed -n "7s/^ *[0-9]* *//p" "$0/data/postmaster.pid")
    kill -QUIT $(processes)
    kill -CONT $(processes)
    for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        [ -z "$(processes)" ] && break
        sleep 0.1
    done
    kill -KILL $(processes)
    if [ -n "$segment" ]; then ipcrm -m "$segment"; fi
' "$folder"
rm -rf "$folder"
