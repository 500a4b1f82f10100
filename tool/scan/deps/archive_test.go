package deps_test

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// zipped is an archive of names and contents, by turns.
func zipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		if err == nil {
			_, err = w.Write([]byte(parts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func properties(group, artifact, version string) (name, text string) {
	return "META-INF/maven/" + group + "/" + artifact + "/pom.properties", fmt.Sprintf("#made\ngroupId=%s\nartifactId=%s\nversion=%s\n", group, artifact, version)
}

// auditedELF is the least ELF that has a section .dep-v0.
func auditedELF(t testing.TB, text string) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, err := z.Write([]byte(text))
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	names := "\x00.shstrtab\x00.dep-v0\x00"
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 1}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	data := uint64(64)
	h.Shoff = data + uint64(len(names)) + uint64(packed.Len())
	sections := []elf.Section64{{},
		{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: data, Size: uint64(len(names))},
		{Name: 11, Type: uint32(elf.SHT_PROGBITS), Off: data + uint64(len(names)), Size: uint64(packed.Len())}}
	var b bytes.Buffer
	for _, part := range []any{h, []byte(names), packed.Bytes(), sections} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// archives are files that are no text, by their names.
func archives(t testing.TB) map[string][]byte {
	coreName, core := properties("org.apache.logging.log4j", "log4j-core", "2.14.1")
	utilName, util := properties("org.x", "util", "1.0")
	inner := zipped(t, coreName, core)
	shaded := zipped(t, coreName, core, utilName, util, "META-INF/MANIFEST.MF", "Bundle-License: Apache-2.0\r\n")
	audited := auditedELF(t, `{"packages":[{"name":"app","version":"0.1.0","source":"local","root":true,"dependencies":[1,2]},{"name":"serde","version":"1.0.0","source":"crates.io"},{"name":"cc","version":"1.0.1","source":"crates.io","kind":"build"}]}`)
	return map[string][]byte{
		"app.war":        zipped(t, "WEB-INF/lib/log4j-core-2.14.1.jar", string(inner), "WEB-INF/lib/plain-3.2.jar", string(zipped(t, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nImplementation-Vendor-Id: org.plain\r\nImplementation-Version: 3.2\r\n"))),
		"util-1.0.jar":   shaded,
		"nameless.jar":   zipped(t, "a.class", "x"),
		"guava-31.1.jar": zipped(t, "META-INF/MANIFEST.MF", "Bundle-SymbolicName: com.google.guava\r\nBundle-Version: 31.1\r\n"),
		"rusty":          audited,
	}
}

// Archives of Java are read to the inside, what is shaded into one is told from it, and
// programs of Rust say what they were built of.
func TestArchives(t *testing.T) {
	files := fstest.MapFS{}
	for name, content := range archives(t) {
		files[name] = &fstest.MapFile{Data: content}
	}
	want := []string{
		"app.war:1 pkg:maven/org.apache.logging.log4j/log4j-core 2.14.1 RESOLVED runtime direct org.apache.logging.log4j:log4j-core",
		"app.war:1 pkg:maven/org.plain/plain 3.2 RESOLVED runtime direct org.plain:plain",
		"guava-31.1.jar:1 pkg:maven/com.google.guava/guava 31.1 RESOLVED runtime direct com.google.guava:guava",
		"nameless.jar:1 pkg:maven/nameless/nameless  UNRESOLVED runtime direct nameless:nameless",
		"rusty:1 pkg:cargo/cc 1.0.1 RESOLVED development direct cc",
		"rusty:1 pkg:cargo/serde 1.0.0 RESOLVED runtime direct serde",
		"util-1.0.jar:1 pkg:maven/org.apache.logging.log4j/log4j-core 2.14.1 RESOLVED runtime transitive org.x:util>org.apache.logging.log4j:log4j-core",
		"util-1.0.jar:1 pkg:maven/org.x/util 1.0 RESOLVED runtime direct org.x:util",
	}
	r := run(t, files)
	if diff := cmp.Diff(want, listed(r)); diff != "" {
		t.Error(diff)
	}
}

// A program that Go built says which modules are in it.
func TestGoBinary(t *testing.T) {
	name := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", name, "./testdata/program").CombinedOutput(); err != nil {
		t.Skipf("go cannot build here: %v: %s", err, out)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(listed(run(t, fstest.MapFS{"bin/program": {Data: content}})), "\n")
	for _, want := range []string{"bin/program:1 pkg:golang/stdlib 1.", "bin/program:1 pkg:golang/golang.org/x/mod 0."} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
}

// What is built to break a reader costs that file alone, and is named with a reason.
func TestHostile(t *testing.T) {
	bomb := strings.Repeat("\x00", 64<<20)
	nested := zipped(t, "a.class", "x")
	for range 8 {
		nested = zipped(t, "lib/inner.jar", string(nested))
	}
	coreName, core := properties("g", "a", "1")
	deep := strings.Repeat(`{"dependencies":{"a":`, 5000)
	files := fstest.MapFS{
		"bomb/a.jar":             {Data: zipped(t, "META-INF/MANIFEST.MF", bomb)},
		"nested/a.jar":           {Data: nested},
		"torn/a.jar":             {Data: nested[:len(nested)/2]},
		"up/a.jar":               {Data: zipped(t, "../../../etc/passwd", "x", coreName, core)},
		"deep/package.json":      {Data: []byte(deep)},
		"deep/Cargo.lock":        {Data: []byte("a = " + strings.Repeat("[", 100_000))},
		"deep/pnpm-lock.yaml":    {Data: []byte(indents(1000))},
		"deep/pom.xml":           {Data: []byte(strings.Repeat("<a>", 100_000))},
		"deep/a.cdx.json":        {Data: []byte(`{"bomFormat":"CycloneDX","components":[` + strings.Repeat(`{"name":"a","components":[`, 3000))},
		"large/yarn.lock":        {Data: bytes.Repeat([]byte("a@1:\n  version \"1.0.0\"\n\n"), 4<<20)},
		"entities/pom.xml":       {Data: []byte(`<!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;">]><project><dependencies><dependency><groupId>&d;</groupId></dependency></dependencies></project>`)},
		"circle/a/pom.xml":       {Data: []byte(`<project><parent><groupId>g</groupId><artifactId>b</artifactId><version>1</version><relativePath>../b</relativePath></parent><artifactId>a</artifactId></project>`)},
		"circle/b/pom.xml":       {Data: []byte(`<project><parent><groupId>g</groupId><artifactId>a</artifactId><version>1</version><relativePath>../a</relativePath></parent><artifactId>b</artifactId></project>`)},
		"away/pom.xml":           {Data: []byte(`<project><parent><artifactId>b</artifactId><relativePath>../../../../etc/passwd</relativePath></parent><artifactId>a</artifactId></project>`)},
		"away/requirements.txt":  {Data: []byte("-r ../../../../etc/passwd\nrequests==1.0\n")},
		"good/package-lock.json": {Data: []byte(lock3)},
	}
	r := run(t, files)
	refused := map[string]string{}
	for _, p := range r.Runs[0].Scan.Skipped {
		if !strings.HasPrefix(p.Why, "NO DATA") {
			refused[p.File] = p.Why
		}
	}
	for _, name := range []string{"bomb/a.jar", "nested/a.jar", "torn/a.jar", "deep/package.json", "deep/Cargo.lock", "deep/pnpm-lock.yaml", "deep/pom.xml", "deep/a.cdx.json", "large/yarn.lock", "entities/pom.xml"} {
		if refused[name] == "" {
			t.Errorf("%s is not refused", name)
		}
		delete(refused, name)
	}
	for name, why := range refused {
		t.Errorf("%s is refused: %s", name, why)
	}
	if all := strings.Join(listed(r), "\n"); !strings.Contains(all, "good/package-lock.json:5") || !strings.Contains(all, "up/a.jar:1 pkg:maven/g/a 1") || !strings.Contains(all, "away/requirements.txt:2") {
		t.Errorf("what is good was not listed:\n%s", all)
	}
	if r.Runs[0].Scan.Complete {
		t.Error("the scan says that it saw everything")
	}
}

func indents(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
