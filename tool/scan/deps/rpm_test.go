package deps_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"
)

// rpmHeader is a package as rpm keeps it; fat makes it larger than a page of any database.
func rpmHeader(name, version, release string, epoch uint32, requires string) []byte {
	type tag struct {
		id, kind, count uint32
		data            []byte
	}
	epochs := binary.BigEndian.AppendUint32(nil, epoch)
	tags := []tag{{1000, 6, 1, []byte(name + "\x00")}, {1001, 6, 1, []byte(version + "\x00")}, {1002, 6, 1, []byte(release + "\x00")}, {1014, 6, 1, []byte("MIT\x00")}, {1022, 6, 1, []byte("x86_64\x00")},
		{1047, 8, 1, []byte("lib" + name + ".so\x00")}, {1049, 8, 1, []byte(requires + "\x00")}, {1004, 9, 1, []byte(strings.Repeat("s", 20_000) + "\x00")}}
	if epoch > 0 {
		tags = append(tags, tag{1003, 4, 1, epochs})
	}
	var index, store []byte
	for _, t := range tags {
		for _, n := range []uint32{t.id, t.kind, uint32(len(store)), t.count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
		store = append(store, t.data...)
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(len(tags))), uint32(len(store)))
	return append(append(head, index...), store...)
}

// The three forms of rpm's database hold the same packages, with who needs whom.
func rpmDatabases(t testing.TB) map[string][]byte {
	headers := [][]byte{rpmHeader("bash", "4.4", "1.el8", 0, "libopenssl.so"), rpmHeader("openssl", "1.1.1k", "5.el8", 1, "nothing")}
	name := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE Other (x); CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if _, err := db.Exec("INSERT INTO Packages (blob) VALUES (?)", h); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	sqlite, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"var/lib/rpm/rpmdb.sqlite": sqlite, "usr/lib/sysimage/rpm/Packages.db": ndb(headers), "old/var/lib/rpm/Packages": bdb(headers)}
}

func ndb(headers [][]byte) []byte {
	le := binary.LittleEndian
	page := make([]byte, 4096)
	copy(page, "RpmP")
	le.PutUint32(page[12:], 1)
	for at := 32; at < len(page); at += 16 {
		copy(page[at:], "Slot")
	}
	for i, h := range headers {
		slot := page[32+16*i:]
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32(len(page)/16))
		blob := append([]byte("BlbS"), make([]byte, 12)...)
		le.PutUint32(blob[12:], uint32(len(h)))
		blob = append(blob, h...)
		page = append(page, append(blob, make([]byte, (16-len(blob)%16)%16)...)...)
	}
	return page
}

func bdb(headers [][]byte) []byte {
	const size = 4096
	le := binary.LittleEndian
	meta := make([]byte, size)
	le.PutUint32(meta[12:], 0x061561)
	le.PutUint32(meta[20:], size)
	meta[25] = 8
	hash := make([]byte, size)
	hash[25] = 2
	le.PutUint16(hash[20:], uint16(2*len(headers)))
	file := bytes.Join([][]byte{meta, hash}, nil)
	for i, h := range headers {
		item := 2000 + 32*i
		le.PutUint16(hash[26+4*i:], uint16(item-8)) // the key
		le.PutUint16(hash[26+4*i+2:], uint16(item))
		hash[item-8], hash[item] = 1, 3
		le.PutUint32(hash[item+4:], uint32(len(file)/size))
		le.PutUint32(hash[item+8:], uint32(len(h)))
		for len(h) > 0 {
			part := h[:min(len(h), size-26)]
			h = h[len(part):]
			p := make([]byte, size)
			p[25] = 7
			if len(h) > 0 {
				le.PutUint32(p[16:], uint32(len(file)/size+1))
			}
			le.PutUint16(p[22:], uint16(len(part)))
			copy(p[26:], part)
			file = append(file, p...)
		}
	}
	copy(file[size:], hash)
	return file
}

func TestRPM(t *testing.T) {
	files := fstest.MapFS{"etc/os-release": {Data: []byte("ID=almalinux\nVERSION_ID=8.5\n")}}
	for name, content := range rpmDatabases(t) {
		files[name] = &fstest.MapFile{Data: content}
	}
	r := run(t, files)
	for _, p := range r.Runs[0].Scan.Skipped {
		if !strings.HasPrefix(p.Why, "NO DATA") {
			t.Errorf("%s: %s", p, p.Why)
		}
	}
	var want []string
	for _, place := range []string{"old/var/lib/rpm/Packages:1 pkg:rpm/redhat", "usr/lib/sysimage/rpm/Packages.db:1 pkg:rpm/almalinux", "var/lib/rpm/rpmdb.sqlite:1 pkg:rpm/almalinux"} {
		want = append(want, place+"/bash 4.4-1.el8 RESOLVED runtime direct bash", place+"/openssl 1:1.1.1k-5.el8 RESOLVED runtime transitive bash>openssl")
	}
	if diff := cmp.Diff(want, listed(r)); diff != "" {
		t.Error(diff)
	}
	if c := r.Components[2]; c.Ecosystem != "AlmaLinux:8" || c.Licences[0] != "MIT" || c.Qualifiers != "arch=x86_64&distro=almalinux-8.5" {
		t.Errorf("%+v", c)
	}
}
