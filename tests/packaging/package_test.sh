#!/usr/bin/env bash
# The Debian package: made, looked into, asked what it would have systemd do, and, where SHERD_TEST_CHROOT is set,
# installed in a fresh Debian, started by its unit's command, restarted, installed again, removed and purged. Argument:
# the build folder.
# The chroot needs root, and debootstrap or mmdebstrap with a mirror: SHERD_TEST_CHROOT=yes, or a folder that holds
# a Debian 12 already, which is copied.
set -euo pipefail
build=$(cd "$1" && pwd)
scratch=$(mktemp -d)
chroot= server=
cleanup() {
    if [ -n "$server" ]; then pkill -KILL --parent "$server" 2>/dev/null || true; fi
    if [ -n "$chroot" ]; then umount --lazy "$chroot/proc" 2>/dev/null || true; fi
    rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
for program in cpack dpkg-deb dpkg-shlibdeps file; do
    command -v "$program" >/dev/null || { echo "Skipped: $program is not installed"; exit 77; }
done

# ---- The file --------------------------------------------------------------------------------------------------------

(cd "$scratch" && cpack -G DEB --config "$build/CPackConfig.cmake" -B "$scratch" >cpack.log 2>&1) ||
    { cat "$scratch/cpack.log"; fail "cpack"; }
package=$(ls "$scratch"/sherd_*_*.deb)
dpkg-deb --info "$package" >"$scratch/info"
dpkg-deb --contents "$package" >"$scratch/contents"
mkdir "$scratch/root" "$scratch/control"
dpkg-deb --extract "$package" "$scratch/root"
dpkg-deb --control "$package" "$scratch/control"
root=$scratch/root

for line in '^ Package: sherd$' '^ Version: [0-9.]*-1$' '^ Section: database$' '^ Installed-Size: [1-9]' '^ Maintainer: .*<.*@' \
    '^ Depends:.*\badduser\b' '^ Depends:.*\blibc6 (>=' '^ Description: ' '^ Architecture: '; do
    grep -q "$line" "$scratch/info" || { cat "$scratch/info"; fail "control has no line like $line"; }
done
for file in usr/bin/sherd usr/bin/sherd-bench etc/sherd/sherd.conf usr/lib/systemd/system/sherd.service \
    usr/share/man/man1/sherd.1.gz usr/share/man/man1/sherd-bench.1.gz usr/share/man/man5/sherd.conf.5.gz \
    usr/share/bash-completion/completions/sherd usr/share/bash-completion/completions/sherd-bench \
    usr/share/doc/sherd/copyright usr/share/doc/sherd/changelog.Debian.gz usr/share/doc/sherd/README.md usr/share/doc/sherd/bench/README.md \
    usr/share/doc/sherd/examples/seccomp.json; do
    [ -s "$root/$file" ] || fail "the package has no $file"
    grep -q "  $file$" "$scratch/control/md5sums" || fail "md5sums has no $file"
done
(cd "$root" && md5sum --quiet --check ../control/md5sums) || fail "md5sums"
[ "$(cat "$scratch/control/conffiles")" = /etc/sherd/sherd.conf ] || fail "conffiles"
if grep -v ' root/root ' "$scratch/contents"; then fail "not root's"; fi
if grep -E '^.(....[w]|.......[w])' "$scratch/contents"; then fail "writable by others than root"; fi
grep -q '^-rw-r----- .* \./etc/sherd/sherd.conf$' "$scratch/contents" || fail "everybody may read sherd.conf"
if grep -E ' \./(usr/local|tmp|home)' "$scratch/contents"; then fail "not a package's place"; fi
for script in postinst prerm postrm; do
    [ "$(stat -c %a "$scratch/control/$script")" = 755 ] || fail "$script is not executable"
    sh -n "$scratch/control/$script" || fail "$script"
done
version=$(sed -n 's/^ Version: //p' "$scratch/info")
[[ $(zcat "$root/usr/share/doc/sherd/changelog.Debian.gz") == "sherd ($version) "* ]] || fail "the changelog is not of $version"
if readelf -S "$root/usr/bin/sherd" | grep -q '\.debug_info'; then fail "sherd is not stripped"; fi

# ---- What is in it ---------------------------------------------------------------------------------------------------

"$root/usr/bin/sherd" --check "$root/etc/sherd/sherd.conf" >/dev/null || fail "sherd.conf"
if command -v groff >/dev/null; then
    for page in "$root"/usr/share/man/man?/*.gz; do
        warnings=$(zcat "$page" | groff -man -Tutf8 -ww -z 2>&1)
        [ -z "$warnings" ] || fail "$page: $warnings"
    done
fi
completed=$(bash -c 'source "$1"; COMP_WORDS=(sherd-bench load --thr); COMP_CWORD=2; _sherd_bench; echo "${COMPREPLY[*]}"' \
    - "$root/usr/share/bash-completion/completions/sherd-bench")
[ "$completed" = --threads ] || fail "completion of sherd-bench: $completed"

unit=$root/usr/lib/systemd/system/sherd.service
command=$(sed -n 's/^ExecStart=//p' "$unit")
[[ $command == "/usr/bin/sherd /etc/sherd/sherd.conf "* ]] || fail "ExecStart=$command"
if command -v systemd-analyze >/dev/null; then
    # Complaints about its lines; that there is no other unit under this root is no wonder.
    complaints=$(systemd-analyze verify --man=no --root="$root" sherd.service 2>&1 | grep 'sherd\.service:[0-9]' || true)
    [ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"
    level=$(systemd-analyze security --offline=yes --root="$root" sherd.service 2>/dev/null |
        sed -n 's/.*Overall exposure level for sherd.service: \([0-9.]*\).*/\1/p')
    [ -z "$level" ] || awk "BEGIN { exit !($level < 3) }" || fail "systemd-analyze security: exposure $level"
fi
echo "The package is sound: $(basename "$package"), $(stat -c %s "$package") bytes${level:+, exposure $level}"

# ---- What its script asks of systemd ---------------------------------------------------------------------------------

# A machine on which systemd runs: a systemctl that notes what it is asked for, and programs that do nothing.
machine=$scratch/machine
mkdir -p "$machine/bin" "$machine/systemd"
cat >"$machine/bin/systemctl" <<END
#!/bin/sh
echo "\$*" >>"$machine/asked"
case "\$*" in
show*MainPID*) cat "$machine/pid" ;;
is-active*) [ "\$(cat "$machine/state")" = active ] ;;
kill*USR2*) if [ -e "$machine/successor" ]; then cp "$machine/successor" "$machine/pid"; fi ;;
esac
END
chmod +x "$machine/bin/systemctl"
for program in getent adduser chown chmod install sleep; do ln -s /bin/true "$machine/bin/$program"; done
sed "s|/run/systemd/system|$machine/systemd|" "$scratch/control/postinst" >"$machine/postinst"
# Arguments: the version before, the unit's state, its main process, and the one that would take over, if any.
configure() {
    rm -f "$machine/asked" "$machine/successor"
    echo "$2" >"$machine/state"
    echo "$3" >"$machine/pid"
    if [ -n "$4" ]; then echo "$4" >"$machine/successor"; fi
    said=$(PATH=$machine/bin:$PATH sh "$machine/postinst" configure "$1" 2>&1) || fail "postinst configure '$1': $said"
    asked=$(grep -Ev '^(show|is-active) ' "$machine/asked" | paste -sd,)
}
succeed='daemon-reload,kill -s USR2 --kill-who=main sherd.service'
configure "" inactive 0 ""
[ "$asked" = 'daemon-reload,enable --quiet sherd.service,restart sherd.service' ] || fail "a first install: $asked"
configure 0.0.9-1 active 100 200
[ "$asked" = "$succeed" ] && [ -z "$said" ] || fail "an upgrade: $asked; $said"
configure 0.0.9-1 active 100 ""
[ "$asked" = "$succeed" ] && [[ $said == *"systemctl restart sherd"* ]] || fail "an upgrade without a successor: $asked; $said"
configure 0.0.9-1 activating 100 200
[ "$asked" = daemon-reload ] && [[ $said == *"systemctl restart sherd"* ]] || fail "an upgrade while it loads: $asked; $said"
configure 0.0.9-1 inactive 0 ""
[ "$asked" = daemon-reload ] && [ -z "$said" ] || fail "an upgrade of a server that was stopped: $asked; $said"

# ---- A fresh Debian --------------------------------------------------------------------------------------------------

case ${SHERD_TEST_CHROOT:-} in
"") echo "Not installed anywhere: SHERD_TEST_CHROOT is not set" && exit ;;
yes) ;;
*) [ -d "$SHERD_TEST_CHROOT" ] || fail "SHERD_TEST_CHROOT is neither yes nor a folder" ;;
esac
if [ "$(id -u)" -ne 0 ]; then echo "Not installed anywhere: a chroot needs root" && exit; fi
chroot=$scratch/debian
if [ "$SHERD_TEST_CHROOT" != yes ]; then
    cp -a "$SHERD_TEST_CHROOT" "$chroot"
elif command -v mmdebstrap >/dev/null; then
    mmdebstrap --variant=minbase bookworm "$chroot" >"$scratch/bootstrap.log" 2>&1 ||
        { tail -5 "$scratch/bootstrap.log"; fail "mmdebstrap"; }
else
    debootstrap --variant=minbase bookworm "$chroot" >"$scratch/bootstrap.log" 2>&1 ||
        { tail -5 "$scratch/bootstrap.log"; fail "debootstrap"; }
fi
mount -t proc proc "$chroot/proc"
cp "$package" "$chroot/tmp/sherd.deb"
inside() { env DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$chroot" "$@"; }
as_sherd() { inside setpriv --reuid=sherd --regid=sherd --init-groups --no-new-privs "$@"; }

# What the unit's RuntimeDirectory= and ExecStart= do.
start() {
    inside install -d -o sherd -g sherd -m 750 /run/sherd
    # shellcheck disable=SC2086 # the command's words
    as_sherd $command >>"$scratch/server.log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        if inside sherd --ping --ready --unix /run/sherd/sherd.sock >/dev/null 2>&1; then return; fi
        kill -0 "$server" 2>/dev/null || { cat "$scratch/server.log"; fail "the server ended"; }
        sleep 0.1
    done
    cat "$scratch/server.log"
    fail "the server doesn't answer"
}
stop() {
    pkill -TERM --parent "$server" 2>/dev/null || kill -TERM "$server"
    wait "$server" || { cat "$scratch/server.log"; fail "the server's end"; }
    server=
}
ask() { inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/'"$port"'; printf "%s\r\n" "$1" >&3; head -n "$2" <&3' - "$1" "$2"; }

inside apt-get update -qq >/dev/null 2>&1 || true
inside apt-get install -y -qq --no-install-recommends /tmp/sherd.deb >"$scratch/install.log" 2>&1 ||
    { cat "$scratch/install.log"; fail "apt-get install"; }
[ "$(inside stat -c %U:%G:%a /var/lib/sherd)" = sherd:sherd:750 ] || fail "/var/lib/sherd"
[ "$(inside stat -c %U:%G:%a /etc/sherd/sherd.conf)" = root:sherd:640 ] || fail "/etc/sherd/sherd.conf"

port=16379
echo "port $port" >>"$chroot/etc/sherd/sherd.conf"
echo 'save "3600 1"' >>"$chroot/etc/sherd/sherd.conf"
as_sherd sherd --check /etc/sherd/sherd.conf --dir /var/lib/sherd >/dev/null || fail "the package's configuration"
start
[ "$(ask 'SET greeting hello' 1)" = $'+OK\r' ] || fail "SET"
stop
[ -s "$chroot/var/lib/sherd/dump.rdb" ] || fail "nothing was saved"
start
[ "$(ask 'GET greeting' 2)" = $'$5\r\nhello\r' ] || fail "the restarted server has forgotten"
stop
inside dpkg -i /tmp/sherd.deb >"$scratch/again.log" 2>&1 || { cat "$scratch/again.log"; fail "installing again"; }
inside grep -q "^port $port" /etc/sherd/sherd.conf || fail "installing again lost the configuration"
inside dpkg --remove sherd >/dev/null
[ ! -e "$chroot/usr/bin/sherd" ] || fail "removed, but there is /usr/bin/sherd"
[ -e "$chroot/etc/sherd/sherd.conf" ] && [ -e "$chroot/var/lib/sherd/dump.rdb" ] || fail "removing took what is the user's"
inside dpkg --purge sherd >/dev/null
left=$(cd "$chroot" && find etc var/lib var/log usr run -path '*sherd*' -not -path '*/dpkg/*' -print)
[ -z "$left" ] || fail "purged, but there is: $left"
echo "Installed, started, restarted, installed again, removed, purged: Debian $(cat "$chroot/etc/debian_version")"
