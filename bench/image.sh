#!/bin/sh
# Makes an image of about 700 MB, and measures haechi sbom against osv-scanner on it, by turns.
#
#   bench/image.sh [FOLDER]     FOLDER (a new one below $TMPDIR) keeps what was made: 3 GB
#
# Needs root, debootstrap (else apt-get, which fetches its package), tar and Go. MIRROR is where Debian's
# packages come from, SUITE which Debian; ROUNDS how often each scans (3).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"
suite=${SUITE:-bookworm}
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -v security | head -1)}
packages=python3,python3-pip,nodejs,openjdk-17-jre-headless,curl,git,vim

if ! [ -f root.tar ]; then
	bootstrap=$(command -v debootstrap || true)
	if [ -z "$bootstrap" ]; then
		apt-get download debootstrap
		dpkg -x debootstrap_*.deb debootstrap
		bootstrap=$work/debootstrap/usr/sbin/debootstrap
		export DEBOOTSTRAP_DIR="$work/debootstrap/usr/share/debootstrap"
	fi
	"$bootstrap" --variant=minbase --include="$packages" "$suite" root "$mirror" >debootstrap.log
	rm -rf root/var/cache/apt/archives/*.deb
	tar -cf root.tar --numeric-owner -C root .
fi

# A service of several languages: a program of Go, and what npm and pip would have been given.
go build -C "$here/.." -o "$work/haechi" ./cmd/haechi
mkdir -p app/opt/app/web app/opt/app/jobs
cp haechi app/opt/app/haechi
go run -C "$here" ./mklock 1200 >app/opt/app/web/package-lock.json
printf 'requests==2.19.0\nflask==1.0\njinja2==2.10\nurllib3==1.24\n' >app/opt/app/jobs/requirements.txt
tar -cf app.tar --numeric-owner -C app opt/app/haechi
tar -cf lock.tar --numeric-owner -C app opt/app/web opt/app/jobs
go run -C "$here" ./mkimage "$work/image.tar" "ADD root.tar /=$work/root.tar" "COPY haechi /opt/app/=$work/app.tar" "COPY web jobs /opt/app/=$work/lock.tar"
[ -x osv-scanner ] || go build -C "$here/peers" -o "$work/osv-scanner" github.com/google/osv-scanner/v2/cmd/osv-scanner
echo "unpacked: $(cat root.tar app.tar lock.tar | wc -c) bytes; image.tar: $(wc -c <image.tar) bytes"
go build -C "$here" -o "$work/bench" .
"$work/bench" "$work/haechi" image
