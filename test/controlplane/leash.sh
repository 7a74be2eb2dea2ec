# leash.sh DIRECTORY [remove]: waits until standard input closes, which is when the program that started the control plane
# has died, however it died. Then it ends what that program could not: every process with a file in DIRECTORY/run.
trap '' HUP INT TERM
cat >/dev/null
cd "$1/run" 2>/dev/null || exit 0 # all was stopped in good order

end() { # end FILE: asks a process and its children to end, and insists after ten seconds; each leads a group
  read -r group <"$1" || return
  kill -TERM "-$group"
  tries=100
  while kill -0 "-$group" && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
  kill -KILL "-$group"
} 2>/dev/null

# Clients first, then the API server, then its storage; otherwise each would wait for one that is gone.
last="kube-apiserver.pid etcd.pid"
for file in *.pid; do
  case " $last " in *" $file "*) ;; *) [ -f "$file" ] && end "$file" ;; esac
done
for file in $last; do
  [ -f "$file" ] && end "$file"
done

cd / && rm -rf "$1/run"
[ "$2" != remove ] || rm -rf "$1"
