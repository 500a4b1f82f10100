package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/tool/scan/image/imagetest"
)

// What the book says is so. In docs/*.md
//
//   - a block ```LANGUAGE FILE is written to that file;
//   - a block ```console is typed: each line that begins with "$ " is a command, and what
//     follows it must be what comes, where … stands for anything. exit=N behind console is
//     the exit code of its last command, 0 if it is not said;
//   - <!-- test: server FLAGS --> starts a server, which answers for http://127.0.0.1:8080;
//   - <!-- test: forge OWNER/NAME --> starts a forge that has this repository, which answers for https://github.com, to $GITHUB_TOKEN;
//   - <!-- test: image FILE NAME FOLDER… --> builds an image, each folder a layer, as docker build and docker save would;
//   - <!-- test: FROM → TO --> types TO where the page says FROM: what a reader has of their own.
//
// Where a program is not on this machine, the rest of the page is left out, with a line.
func TestBook(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			newReader(t).read(filepath.Base(page), string(text))
		})
	}
}

// reader is somebody who does what a page says.
type reader struct {
	t       *testing.T
	dir     string
	env     []string
	replace []string // pairs
	server  *running
}

func newReader(t *testing.T) *reader {
	work := t.TempDir()
	r := &reader{t: t, dir: filepath.Join(work, "here")}
	home := filepath.Join(work, "home")
	for _, folder := range []string{r.dir, home} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "HAECHI_DATA=" + filepath.Join(work, "data"), "LANG=C.UTF-8", "TMPDIR=" + os.TempDir(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_AUTHOR_NAME=Kim", "GIT_AUTHOR_EMAIL=kim@shop.example",
		"GIT_COMMITTER_NAME=Kim", "GIT_COMMITTER_EMAIL=kim@shop.example", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
	}
	t.Cleanup(func() {
		if r.server != nil {
			said := r.server.stop()
			if t.Failed() {
				t.Logf("the server said:\n%s", said)
			}
		}
	})
	return r
}

var directive = regexp.MustCompile(`^<!-- test: (.*) -->$`)

func (r *reader) read(page, text string) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if m := directive.FindStringSubmatch(lines[i]); m != nil {
			r.direct(m[1])
			continue
		}
		info, ok := strings.CutPrefix(lines[i], "```")
		if !ok {
			continue
		}
		end := slices.Index(lines[i+1:], "```")
		if end < 0 {
			r.t.Fatalf("%s:%d: a block without an end", page, i+1)
		}
		at, block := fmt.Sprintf("%s:%d", page, i+1), lines[i+1:i+1+end]
		i += 1 + end
		language, rest, _ := strings.Cut(info, " ")
		switch {
		case language == "console":
			r.console(at, block, rest)
		case rest != "":
			file := filepath.Join(r.dir, rest)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				r.t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(r.own(strings.Join(block, "\n")+"\n")), 0o600); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

func (r *reader) direct(what string) {
	if from, to, ok := strings.Cut(what, " → "); ok {
		r.replace = append(r.replace, from, to)
		return
	}
	words := strings.Fields(what)
	if words[0] == "image" {
		img := imagetest.Image{Name: words[2], Config: map[string]any{"User": "1000"}}
		for _, folder := range words[3:] {
			img.Layers = append(img.Layers, imagetest.Layer{By: "COPY " + folder + " /", Entries: imagetest.Folder(r.t, filepath.Join(r.dir, folder)), Packed: "gzip"})
		}
		if err := os.WriteFile(filepath.Join(r.dir, words[1]), img.Docker(r.t), 0o600); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	if words[0] == "forge" {
		r.forge(words[1])
		return
	}
	if words[0] != "server" {
		r.t.Fatalf("unknown directive %q", what)
	}
	haechi, err := lookPath("haechi", os.Getenv("PATH"))
	if err != nil {
		r.t.Fatal(err)
	}
	server, address, err := start(haechi, r.dir, r.env, words[1:]...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.server = server
	r.env = append(r.env, "HAECHI_ENDPOINT="+address)
	r.replace = append(r.replace, "127.0.0.1:8080", strings.TrimPrefix(address, "http://"))
}

// forge starts a forge with a repository that has a commit.
func (r *reader) forge(name string) {
	folder := r.t.TempDir()
	f, err := newLocalForge(folder)
	if err != nil {
		r.t.Skip("no git here")
	}
	r.t.Cleanup(f.Close)
	c := gittest.New(r.t)
	c.Commit("first version", map[string]string{"README.md": "a shop\n"})
	bare := filepath.Join(folder, name+".git")
	c.Git("init", "-q", "--bare", "-b", "main", bare)
	c.Git("push", "-q", bare, "main")
	r.env = append(r.env, "GITHUB_TOKEN="+localForgeToken)
	r.replace = append(r.replace, "https://github.com", f.URL)
}

// own is text with what the reader has of their own.
func (r *reader) own(text string) string { return strings.NewReplacer(r.replace...).Replace(text) }

// console types the commands of a block.
func (r *reader) console(at string, block []string, rest string) {
	exit := "0"
	if rest != "" {
		exit = strings.TrimPrefix(rest, "exit=")
	}
	for len(block) > 0 {
		command, ok := strings.CutPrefix(block[0], "$ ")
		if !ok {
			r.t.Fatalf("%s: %q is not a command", at, block[0])
		}
		block = block[1:]
		for strings.HasSuffix(command, `\`) && len(block) > 0 {
			command += "\n" + block[0]
			block = block[1:]
		}
		next := slices.IndexFunc(block, func(line string) bool { return strings.HasPrefix(line, "$ ") })
		want := block
		code := exit
		if next >= 0 {
			want, block, code = block[:next], block[next:], "0"
		} else {
			block = nil
		}
		r.command(at, command, strings.Join(want, "\n"), code)
	}
}

var (
	assignment = regexp.MustCompile(`^([\s\\]*[A-Z_]+=(\$\([^)]*\)|\S)*[\s\\]+)+`)
	remembered = regexp.MustCompile(`^([a-z]+)=\$\(`) // id=$(aws …)
	waited     = regexp.MustCompile(`^until `)
)

func (r *reader) command(at, command, want, exit string) {
	r.t.Helper()
	typed := waited.ReplaceAllString(assignment.ReplaceAllString(command, ""), "")
	program, _, _ := strings.Cut(remembered.ReplaceAllString(typed, ""), " ")
	if m := remembered.FindStringSubmatch(command); m != nil {
		if _, err := exec.LookPath(program); err == nil || program == "haechi" {
			value, code := r.run(at, command+` && printf %s "$`+m[1]+`"`)
			if code != "0" {
				r.t.Fatalf("%s: $ %s\n%s", at, command, value)
			}
			r.env = append(r.env, m[1]+"="+value)
			return
		}
	}
	switch program {
	case "export":
		name, _, _ := strings.Cut(strings.TrimPrefix(command, "export "), "=")
		value, _ := r.run(at, command+`; printf %s "$`+name+`"`)
		r.env = append(r.env, name+"="+value)
		return
	case "cd":
		r.dir = filepath.Join(r.dir, strings.TrimPrefix(command, "cd "))
		return
	case "haechi":
	default:
		if _, err := exec.LookPath(program); err != nil && program == "ssh-keygen" {
			r.key(command)
			return
		} else if err != nil {
			r.t.Skipf("%s: no %s here: the rest of the page is not tried", at, program)
		}
	}
	reads := strings.HasPrefix(command, "haechi findings") || strings.HasPrefix(command, "haechi run") || command == "haechi forge" || strings.HasPrefix(command, "haechi forge show")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		got, code := r.run(at, command)
		good := matches(r.own(want), got) && code == exit
		if good {
			return
		}
		if !reads || time.Now().After(deadline) { // what was pushed or posted takes its moment
			r.t.Fatalf("%s: $ %s\n%s\n[exit %s]\nThe page says:\n%s\n[exit %s]", at, command, got, code, want, exit)
		}
	}
}

// key makes a private key where there is no ssh-keygen.
func (r *reader) key(command string) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	file := filepath.Join(r.dir, command[strings.LastIndex(command, " ")+1:])
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) run(at, command string) (out, exit string) {
	r.t.Helper()
	c := exec.Command("sh", "-c", r.own(command))
	c.Dir, c.Env = r.dir, r.env
	text, err := c.CombinedOutput()
	var code *exec.ExitError
	if err != nil && !errors.As(err, &code) {
		r.t.Fatalf("%s: %v", at, err)
	}
	return string(text), fmt.Sprint(c.ProcessState.ExitCode())
}

var blanks = regexp.MustCompile(`[ \t]+`)

// matches tells whether the output is what a page says; nothing says nothing.
func matches(want, got string) bool {
	if strings.TrimSpace(want) == "" {
		return true
	}
	tidy := func(text string) string {
		var lines []string
		for line := range strings.Lines(text) {
			lines = append(lines, strings.TrimSpace(blanks.ReplaceAllString(line, " ")))
		}
		return strings.TrimSpace(strings.Join(lines, "\n"))
	}
	parts := strings.Split(tidy(want), "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, `.*?`) + `$`).MatchString(tidy(got))
}

var (
	link     = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	verbUsed = regexp.MustCompile("(?m)(?:^(?:    |\\$ )(?:\\./|go run \\./cmd/)?|`)haechi ([a-z]+)\\b")
)

// Every link of the book and the READMEs leads somewhere, and every verb that they name is there.
func TestBookIsWhole(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, all...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
			}
		}
		for _, m := range verbUsed.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(names(), m[1]) {
				t.Errorf("%s: there is no verb %q", page, m[1])
			}
		}
	}
}
