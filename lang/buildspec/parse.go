package buildspec

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"github.com/haechi-dev/haechi/lang/glob"
	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/word/diag"
)

// Phases are the names of phases, in the order in which they run.
func Phases() []string { return []string{"install", "pre_build", "build", "post_build"} }

var (
	variableName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) })
	userName     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`) })
	identifier   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`) })  // of artifacts: part of a variable's name
	buildName    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`) }) // of builds of a batch
)

// Parse reads the text of the file so named. security are the formats that
// reports of security tools may have, besides "security" for any of them. A
// mistake is a *diag.Error of kind fault.Invalid.
func Parse(name string, text []byte, security ...string) (*Spec, error) {
	c := &checker{name: name, text: text, security: security}
	var f file
	if err := strict.Unmarshal(name, text, &f); err != nil {
		return nil, hinted(err)
	}
	if err := strict.Unmarshal(name, text, &c.root); err != nil {
		return nil, err
	}
	s := c.spec(f)
	if c.err != nil {
		return nil, c.err
	}
	return s, nil
}

// hinted adds the way out of the mistake that everybody makes once.
func hinted(err error) error {
	var e *diag.Error
	if errors.As(err, &e) && e.Hint == "" && e.Message == "one value is wanted here, not keys and values" {
		_ = e.WithHint("a command with a colon and a space is to be quoted: - 'echo a: b'")
	}
	return err
}

func (c *checker) spec(f file) *Spec {
	s := &Spec{Version: c.version(f.Version), Shell: c.shell(f.Env.Shell), GitHelper: bool(f.Env.Helper)}
	s.Proxy = Proxy{Artifacts: bool(f.Proxy.Artifacts), Logs: bool(f.Proxy.Logs)}
	c.environment(s, f)
	s.RunAs = c.user(f.RunAs, "run-as")
	c.phases(s, f)
	c.reports(s, f.Reports)
	if f.Artifacts != nil {
		c.artifacts(s, f.Artifacts)
	}
	if f.Cache != nil {
		c.cache(s, f.Cache)
	}
	if f.Batch != nil {
		s.Batch = c.batch(s, f.Batch)
	}
	if len(s.Phases) == 0 && s.Batch == nil {
		c.fail(&yaml.Node{}, "for example:\nphases:\n  build:\n    commands:\n      - make", "there are no phases")
	}
	return s
}

// checker keeps the first mistake.
type checker struct {
	name     string
	text     []byte
	root     yaml.Node
	security []string
	err      error
}

func (c *checker) fail(at *yaml.Node, hint, format string, a ...any) {
	if c.err != nil {
		return
	}
	c.err = strict.Errorf(c.name, c.text, at, format, a...)
	var e *diag.Error
	if hint != "" && errors.As(c.err, &e) {
		_ = e.WithHint("%s", hint)
	}
}

func (c *checker) at(path ...string) *yaml.Node { return at(&c.root, path...) }

func (c *checker) version(v string) string {
	switch v {
	case "0.2", "0.20":
		return "0.2"
	case "0.1", "0.10":
		return "0.1"
	case "":
		c.fail(&yaml.Node{}, "write version: 0.2", "there is no version")
	default:
		c.fail(c.at("version"), "write version: 0.2", "version %s is not supported", v)
	}
	return v
}

func (c *checker) shell(name string) string {
	switch name {
	case "", "sh", "/bin/sh":
		return "sh"
	case "bash", "/bin/bash":
		return "bash"
	case "powershell.exe", "cmd.exe":
		c.fail(c.at("env", "shell"), "there are bash and /bin/sh", "shell %s is Windows's: builds run on Linux here", name)
	}
	c.fail(c.at("env", "shell"), "there are bash and /bin/sh", "shell %q is not supported", name)
	return ""
}

// user checks a run-as. Whether there is somebody of that name is for the build to see.
func (c *checker) user(name string, where ...string) User {
	if name == "" {
		return User{}
	}
	at := c.at(where...)
	if !userName().MatchString(name) {
		c.fail(at, "write a user of Linux", "%q cannot be a user", name)
	}
	return User{Name: name, At: fmt.Sprintf("%s:%d", c.name, at.Line)}
}

func (c *checker) phases(s *Spec, f file) {
	known := Phases()
	for _, name := range slices.Sorted(maps.Keys(f.Phases)) {
		if !slices.Contains(known, name) {
			c.fail(c.key("phases", name), diag.DidYouMean(name, known), "there is no phase %q", name)
		}
	}
	length := 0
	for _, name := range known {
		p, ok := f.Phases[name]
		if !ok {
			continue
		}
		if len(p.Runtimes) > 0 && name != "install" {
			c.fail(c.at("phases", name, "runtime-versions"), "write it below install", "runtime-versions stands below %s", name)
		}
		for _, runtime := range slices.Sorted(maps.Keys(p.Runtimes)) {
			s.Warnings = append(s.Warnings, fmt.Sprintf("Skipping install of runtimes. runtime-versions: %s %s is passed over: the build has the tools of its image or server", runtime, p.Runtimes[runtime]))
		}
		s.Phases = append(s.Phases, Phase{
			Name: name, RunAs: c.user(p.RunAs, "phases", name, "run-as"),
			OnFailure: c.onFailure(p.OnFailure, "phases", name, "on-failure"), Commands: p.Commands, Finally: p.Finally,
		})
		for _, command := range slices.Concat(p.Commands, p.Finally) {
			length += len(command)
			if strings.ContainsRune(command, 0) {
				c.fail(c.at("phases", name), "", "a command of %s holds a zero byte", name)
			}
		}
	}
	if length > mostScript { // aliases make much of little
		c.fail(c.at("phases"), "put them into a script of the repository", "the commands have %d bytes, %d are allowed", length, mostScript)
	}
}

// key is the node of a key itself.
func (c *checker) key(path ...string) *yaml.Node {
	n := at(&c.root, path[:len(path)-1]...)
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == path[len(path)-1] {
			return n.Content[i]
		}
	}
	return n
}

const failures = "there are ABORT, CONTINUE, RETRY, RETRY-3, RETRY-some.*message and RETRY-3-some.*message"

func (c *checker) onFailure(what string, where ...string) (o OnFailure) {
	word, rest, _ := strings.Cut(what, "-")
	switch o.Do = strings.ToUpper(word); {
	case what == "":
		return OnFailure{}
	case (o.Do == Abort || o.Do == Continue) && rest == "":
		return o
	case o.Do != Retry || strings.HasSuffix(what, "-"):
		c.fail(c.at(where...), failures, "on-failure: %s is not supported", what)
		return o
	}
	o.Times = defaultTries
	number, pattern, _ := strings.Cut(rest, "-")
	if n, err := strconv.Atoi(number); err == nil {
		if n < 0 || n > mostRetries {
			c.fail(c.at(where...), "", "on-failure: %s tries again %d times, %d at most are allowed", what, n, mostRetries)
		}
		o.Times = n
	} else {
		pattern = rest
	}
	if pattern == "" {
		return o
	}
	var err error
	if len(pattern) > 500 {
		err = errors.New("it is longer than 500 bytes")
	} else {
		o.Message, err = regexp.Compile(pattern)
	}
	if err != nil {
		c.fail(c.at(where...), failures, "on-failure: %s holds no regular expression: %v", what, err)
	}
	return o
}

// below checks that each is a pattern of files, below the folder of the build.
func (c *checker) below(what string, patterns []string, where ...string) {
	for _, pattern := range patterns {
		if _, err := glob.Parse(pattern); err != nil {
			c.fail(c.at(where...), "", "%q of %s is no pattern: %v", pattern, what, err)
		}
		if strings.ContainsRune(pattern, 0) || strings.HasPrefix(pattern, "/") || slices.Contains(strings.Split(pattern, "/"), "..") {
			c.fail(c.at(where...), "write paths below the folder of the build", "%q of %s is not a pattern of files of the build", pattern, what)
		}
	}
}

func clean(folder string) string {
	if folder == "" {
		return ""
	}
	return strings.TrimPrefix(path.Clean("/"+folder), "/")
}
