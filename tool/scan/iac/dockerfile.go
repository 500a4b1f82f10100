package iac

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// instruction is one of a Dockerfile.
type instruction struct {
	line    int
	name    string
	text    string   // what follows the flags, continued lines joined
	heredoc []string // the texts below it
	flags   [][2]string
}

const maxInstructions = 10_000

// continued is the end of a line that goes on in the next one, as a shell has it.
const continued = "\\\n"

// joined is a text with its continued lines in one.
func (in *instruction) joined() string { return strings.ReplaceAll(in.text, continued, " ") }

var dockerInstructions = []string{"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}

// dockerfile is the document of a Dockerfile.
func dockerfile(name string, content []byte) (*guard.Document, error) {
	all, wrong := instructions(name, content)
	if wrong != nil {
		return nil, fault.Invalid.Wrap(wrong.In(content))
	}
	d := &docker{arguments: map[string]string{}, stage: -1, shell: []string{"/bin/sh", "-c"}}
	for _, in := range all {
		d.take(in)
	}
	properties := guard.NewMap(named("Stages", guard.NewList(d.finished()...).At(0, 1, 1)), named("Instructions", guard.NewList(d.all...).At(0, 1, 1))).At(0, 1, 1)
	top := guard.NewNull().At(0, 1, 1)
	return guard.Made(guard.NewMap(pair(text("Resources"), guard.NewMap(resource(name, "Haechi::Docker::File", top, properties)))), name), nil
}

var (
	directiveLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^#\s*[A-Za-z]+\s*=`) })
	backtick      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("(?i)^#\\s*escape\\s*=\\s*`") })
)

// escapeOf is what ends a line that goes on: the directives at the top may say so.
func escapeOf(lines []string) string {
	for _, l := range lines {
		switch {
		case backtick().MatchString(l):
			return "`"
		case !directiveLine().MatchString(l):
			return "\\"
		}
	}
	return "\\"
}

// instructions reads a Dockerfile: lines, continued ones joined, comments and heredocs.
func instructions(name string, content []byte) ([]instruction, *diag.Error) {
	lines := strings.Split(strings.ReplaceAll(strings.TrimPrefix(string(content), "\ufeff"), "\r\n", "\n"), "\n")
	escape := escapeOf(lines)
	var all []instruction
	for i := 0; i < len(lines); {
		trimmed := strings.TrimSpace(lines[i])
		if trimmed == "" || trimmed[0] == '#' {
			i++
			continue
		}
		in := instruction{line: i + 1}
		var b strings.Builder
		for ; i < len(lines); i++ {
			t := strings.TrimRight(lines[i], " \t")
			if s := strings.TrimSpace(t); b.Len() > 0 && (s == "" || s[0] == '#') {
				b.WriteString(continued) // what stands within keeps its line
				continue
			}
			if rest, ok := strings.CutSuffix(t, escape); ok {
				b.WriteString(rest + continued)
				continue
			}
			b.WriteString(t)
			if unclosed(b.String()) && i+1 < len(lines) { // a list over several lines: not Docker's, but people write it
				b.WriteString(continued)
				continue
			}
			i++
			break
		}
		word, rest, _ := strings.Cut(strings.TrimLeft(b.String(), " \t"), " ")
		if tab := strings.IndexAny(word, "\t\\"); tab >= 0 {
			rest = word[tab:] + " " + rest
			word = word[:tab]
		}
		in.name = strings.ToUpper(word)
		if !slices.Contains(dockerInstructions, in.name) {
			return nil, diag.Errorf(diag.Place{File: name, Line: in.line, Column: 1}, "%s is no instruction of a Dockerfile", clip(word)).WithHint("%s", diag.DidYouMean(in.name, dockerInstructions))
		}
		in.text = in.takeFlags(rest)
		i = in.takeHeredocs(lines, i)
		if all = append(all, in); len(all) > maxInstructions {
			return nil, diag.Errorf(diag.Place{File: name, Line: in.line}, "more than %d instructions", maxInstructions)
		}
	}
	if !slices.ContainsFunc(all, func(in instruction) bool { return in.name == "FROM" }) {
		return nil, diag.Errorf(diag.Place{File: name, Line: 1, Column: 1}, "there is no FROM")
	}
	return all, nil
}

// unclosed tells whether an instruction is a list in JSON whose end is yet to come.
func unclosed(text string) bool {
	const longest = 4096
	_, rest, ok := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	return ok && len(text) < longest && strings.HasPrefix(rest, "[") && (rest == "[" || strings.HasSuffix(rest, ",") || strings.HasSuffix(rest, "\"") && strings.Contains(rest, continued)) && !strings.Contains(rest, "]")
}

func clip(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strings.ToValidUTF8(strings.Map(printable, s), "?")
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}

// takeFlags takes --name=value off the beginning; how many lines that were is kept in the text.
func (in *instruction) takeFlags(rest string) string {
	for {
		t := rest
		for {
			u := strings.TrimPrefix(strings.TrimLeft(t, " \t\n"), continued)
			if u == t {
				break
			}
			t = u
		}
		if !strings.HasPrefix(t, "--") || in.name == "CMD" || in.name == "ENTRYPOINT" {
			return rest
		}
		end := strings.IndexAny(t, " \t\n\\")
		if end < 0 {
			end = len(t)
		}
		key, v, _ := strings.Cut(t[2:end], "=")
		in.flags = append(in.flags, [2]string{key, v})
		rest = strings.Repeat(continued, strings.Count(rest[:len(rest)-len(t)], "\n")) + t[end:]
	}
}

var heredocMark = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<<-?\s*["']?([A-Za-z_][A-Za-z0-9_]*)["']?`) })

// takeHeredocs takes the texts in below RUN, COPY and ADD.
func (in *instruction) takeHeredocs(lines []string, i int) int {
	if in.name != "RUN" && in.name != "COPY" && in.name != "ADD" {
		return i
	}
	for _, m := range heredocMark().FindAllStringSubmatch(in.text, 10) {
		from := i
		for i < len(lines) && strings.TrimSpace(lines[i]) != m[1] {
			i++
		}
		if i == len(lines) { // never ended: no heredoc, but a shift in a shell's arithmetic
			return from
		}
		in.heredoc = append(in.heredoc, strings.Join(lines[from:i], "\n"))
		i++
	}
	return i
}

// docker makes the document of a Dockerfile, instruction by instruction.
type docker struct {
	global    map[string]string // ARGs before the first FROM
	arguments map[string]string // that have a value
	stage     int
	shell     []string
	stages    []*dockerStage
	all       []*value
}

type dockerStage struct {
	at           instruction
	name         string
	fields       []member
	user         *value
	shell        []string
	healthcheck  bool
	from         int // the stage that it begins with, or -1
	instructions []*value
}

func (in *instruction) put(v *value) *value { return v.At(0, in.line, 1) }

func (in *instruction) put2(name string, v *value) member { return pair(in.put(text(name)), v) }

// words are a list of texts.
func (in *instruction) texts(words []string) *value {
	var all []*value
	for _, w := range words {
		all = append(all, in.put(text(w)))
	}
	return in.put(guard.NewList(all...))
}

func (d *docker) take(in instruction) {
	if in.name == "FROM" {
		d.from(in)
	}
	v := d.value(in)
	d.all = append(d.all, v)
	if d.stage < 0 {
		return
	}
	s := d.stages[d.stage]
	s.instructions = append(s.instructions, v.Clone())
	switch in.name {
	case "USER":
		s.user = in.put(d.text(strings.TrimSpace(in.joined())))
	case "HEALTHCHECK":
		s.healthcheck = !strings.EqualFold(strings.TrimSpace(in.joined()), "none")
	case "SHELL":
		var words []string
		if json.Unmarshal([]byte(in.joined()), &words) == nil {
			s.shell = words
		}
	}
}

// from begins a stage.
func (d *docker) from(in instruction) {
	if d.stage < 0 {
		d.global = d.arguments
	}
	s := &dockerStage{at: in, from: -1, shell: []string{"/bin/sh", "-c"}}
	words := strings.Fields(in.joined())
	if len(words) >= 3 && strings.EqualFold(words[1], "as") {
		s.name = words[2]
		s.fields = append(s.fields, in.put2("Name", in.put(text(s.name))))
	}
	s.fields = append(s.fields, in.put2("Index", in.put(guard.NewInt(int64(len(d.stages))))))
	for _, f := range in.flags {
		if f[0] == "platform" {
			s.fields = append(s.fields, in.put2("Platform", in.put(d.expandWith(f[1], d.global))))
		}
	}
	image := ""
	if len(words) > 0 {
		image = words[0]
	}
	expanded := d.expandWith(image, d.global) // a stage may be chosen by an argument
	for i, other := range d.stages {
		if other.name != "" && couldBe(expanded, other.name) {
			s.from = i
		}
	}
	if s.from >= 0 {
		s.fields = append(s.fields, in.put2("From", in.put(expanded)))
		s.user, s.shell = d.stages[s.from].user, d.stages[s.from].shell
		if s.user != nil {
			s.user = s.user.Clone()
		}
	} else {
		s.fields = append(s.fields, d.image(in, image)...)
	}
	d.stages = append(d.stages, s)
	d.stage = len(d.stages) - 1
	d.arguments = map[string]string{}
}

// couldBe tells whether a text is a name, or may be it: of a variable alone everything might.
func couldBe(v *value, name string) bool {
	if t, ok := v.Text(); ok {
		return strings.EqualFold(t, name)
	}
	u := v.Unknown()
	if u == nil || strings.Join(u.Parts, "") == "" {
		return false
	}
	first, last := strings.ToLower(u.Parts[0]), strings.ToLower(u.Parts[len(u.Parts)-1])
	name = strings.ToLower(name)
	return len(name) >= len(first)+len(last) && strings.HasPrefix(name, first) && strings.HasSuffix(name, last) && first != ""
}

// image takes a reference apart: registry/name:tag@digest.
func (d *docker) image(in instruction, ref string) []member {
	v := d.expandWith(ref, d.global)
	whole, ok := v.Text()
	if !ok {
		parts := v.Unknown().Parts
		m := []member{in.put2("Image", in.put(v))}
		if last := parts[len(parts)-1]; strings.Contains(last, "@sha256:") {
			m = append(m, in.put2("Digest", in.put(text(last[strings.Index(last, "@")+1:]))))
		} else if _, tag, ok := strings.Cut(last, ":"); ok {
			m = append(m, in.put2("Tag", in.put(text(tag))))
		} else if first := parts[0]; strings.LastIndex(first, ":") > strings.LastIndex(first, "/") {
			name, tag, _ := strings.Cut(first[strings.LastIndex(first, "/")+1:], ":")
			tagParts := append([]string{tag}, parts[1:]...)
			m = []member{in.put2("Image", in.put(text(first[:strings.LastIndex(first, "/")+1]+name))),
				in.put2("Tag", in.put(guard.NewUnknown(guard.Unknown{Why: v.Unknown().Why, Present: true, Parts: tagParts})))}
		} else if last == "" { // the variable may bring them
			open := func() *value { return in.put(guard.NewUnknown(guard.Unknown{Why: v.Unknown().Why})) }
			m = append(m, in.put2("Tag", open()), in.put2("Digest", open()))
		}
		if first := parts[0]; first == "" {
			m = append(m, in.put2("Registry", in.put(guard.NewUnknown(guard.Unknown{Why: v.Unknown().Why, Present: true}))))
		}
		return m
	}
	name, digest, hasDigest := strings.Cut(whole, "@")
	tag, hasTag := "", false
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name, tag, hasTag = name[:i], name[i+1:], true
	}
	registry := "docker.io"
	if host, _, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		registry = host
	}
	m := []member{in.put2("Image", in.put(text(name))), in.put2("Registry", in.put(text(registry)))}
	if hasTag {
		m = append(m, in.put2("Tag", in.put(text(tag))))
	}
	if hasDigest {
		m = append(m, in.put2("Digest", in.put(text(digest))))
	}
	return m
}

var dockerVariable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\\?\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(:[-+][^}]*)?\}|([A-Za-z_][A-Za-z0-9_]*))`)
})

// text is a text with the arguments put in that have a default.
func (d *docker) text(s string) *value { return d.expandWith(s, d.arguments) }

// known are the arguments that count in an instruction: in FROM those before the first one.
func (d *docker) known(in instruction) map[string]string {
	if in.name == "FROM" {
		return d.global
	}
	return d.arguments
}

func (d *docker) expandWith(s string, known map[string]string) *value {
	parts := []string{""}
	why := ""
	last := 0
	for _, m := range dockerVariable().FindAllStringSubmatchIndex(s, 1000) {
		parts[len(parts)-1] += s[last:m[0]]
		last = m[1]
		if s[m[0]] == '\\' {
			parts[len(parts)-1] += s[m[0]+1 : m[1]]
			continue
		}
		name, alternative := "", ""
		if m[2] >= 0 {
			name = s[m[2]:m[3]]
		} else {
			name = s[m[6]:m[7]]
		}
		if m[4] >= 0 {
			alternative = s[m[4]:m[5]]
		}
		v, ok := known[name]
		switch {
		case ok && !strings.HasPrefix(alternative, ":+"):
			parts[len(parts)-1] += v
		case strings.HasPrefix(alternative, ":-"):
			parts[len(parts)-1] += alternative[2:]
		case ok:
			parts[len(parts)-1] += alternative[2:]
		default:
			why = "the variable " + name + " has no default"
			parts = append(parts, "")
		}
	}
	parts[len(parts)-1] += s[last:]
	if len(parts) == 1 {
		return text(parts[0])
	}
	return guard.NewUnknown(guard.Unknown{Why: why, Present: true, Parts: parts, As: variable(s)})
}

// value is an instruction as rules see it.
func (d *docker) value(in instruction) *value {
	whole := strings.TrimSpace(in.joined())
	for _, h := range in.heredoc {
		whole += "\n" + h
	}
	m := []member{in.put2("Instruction", in.put(text(in.name))), in.put2("Stage", in.put(guard.NewInt(int64(d.stage))))}
	if in.name == "RUN" || in.name == "CMD" || in.name == "ENTRYPOINT" || in.name == "SHELL" || in.name == "HEALTHCHECK" || in.name == "ONBUILD" {
		m = append(m, in.put2("Text", in.put(text(whole)))) // the shell puts its variables in
	} else {
		m = append(m, in.put2("Text", in.put(d.expandWith(whole, d.known(in)))))
	}
	if len(in.flags) > 0 {
		m = append(m, in.put2("Flags", d.flags(in)))
	}
	var exec []string
	isExec := strings.HasPrefix(whole, "[") && json.Unmarshal([]byte(strings.ReplaceAll(whole, "\n", " ")), &exec) == nil
	if isExec {
		m = append(m, in.put2("Exec", in.texts(exec)))
	}
	switch in.name {
	case "RUN", "CMD", "ENTRYPOINT":
		m = append(m, d.shellOf(in, exec, isExec)...)
	case "ENV", "ARG", "LABEL":
		m = append(m, in.put2("Variables", d.variables(in, whole)))
	case "COPY", "ADD", "EXPOSE", "VOLUME", "USER", "WORKDIR", "FROM":
		words := strings.Fields(heredocMark().ReplaceAllString(in.joined(), ""))
		if isExec {
			words = exec
		}
		var all []*value
		for _, w := range words {
			all = append(all, in.put(d.expandWith(strings.Trim(w, `"'`), d.known(in))))
		}
		m = append(m, in.put2("Arguments", in.put(guard.NewList(all...))))
	}
	return in.put(guard.NewMap(m...))
}

func (d *docker) flags(in instruction) *value {
	var m []member
	byName := map[string][]string{}
	var names []string
	for _, f := range in.flags {
		if byName[f[0]] == nil {
			names = append(names, f[0])
		}
		byName[f[0]] = append(byName[f[0]], f[1])
	}
	for _, name := range names {
		if v := byName[name]; len(v) == 1 {
			m = append(m, in.put2(name, in.put(d.text(v[0]))))
		} else {
			m = append(m, in.put2(name, in.texts(v)))
		}
	}
	return in.put(guard.NewMap(m...))
}

// shellOf are the shell that runs a text, and its commands.
func (d *docker) shellOf(in instruction, exec []string, isExec bool) []member {
	shell := []string{"/bin/sh", "-c"}
	if d.stage >= 0 {
		shell = d.stages[d.stage].shell
	}
	at := in.put(guard.NewNull())
	if isExec {
		if len(exec) == 3 && strings.HasSuffix(exec[1], "c") && strings.HasPrefix(exec[1], "-") { // ["sh", "-c", "…"]
			return []member{in.put2("Shell", in.texts(exec[:2])), in.put2("Commands", commands(exec[2], at, in.line))}
		}
		var c command
		for _, w := range exec {
			c.words = append(c.words, word{text: w})
		}
		c.text = strings.Join(exec, " ")
		return []member{in.put2("Commands", in.put(guard.NewList(c.value(at, in.line))))}
	}
	m := []member{in.put2("Shell", in.texts(shell))}
	base := strings.ToLower(path.Base(shell[0]))
	if strings.Contains(base, "powershell") || strings.Contains(base, "pwsh") || strings.HasPrefix(base, "cmd") {
		return m
	}
	all := []*value{}
	body := in.text
	first := in.line
	if len(in.heredoc) > 0 && strings.HasPrefix(strings.TrimSpace(body), "<<") { // the script is the heredoc
		body, first = in.heredoc[0], in.line+1
	}
	for _, c := range script(body) {
		all = append(all, c.value(at, first))
	}
	return append(m, in.put2("Commands", in.put(guard.NewList(all...))))
}

var dockerPair = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`([A-Za-z_][^\s=]*)=("(?:[^"\\]|\\.)*"|'[^']*'|(?:\\.|[^\s"'])*)`)
})

// variables are what ENV, ARG and LABEL set; ARGs and ENVs are put in from then on.
func (d *docker) variables(in instruction, whole string) *value {
	var all []*value
	add := func(name string, v *value) {
		m := []member{in.put2("Name", in.put(text(name)))}
		if v != nil {
			m = append(m, in.put2("Value", in.put(v)))
		}
		all = append(all, in.put(guard.NewMap(m...)))
		if in.name == "LABEL" || v == nil {
			return
		}
		if t, ok := v.Text(); ok {
			d.arguments[name] = t
		}
	}
	pairs := dockerPair().FindAllStringSubmatch(whole, 1000)
	name, rest, _ := strings.Cut(whole, " ")
	switch {
	case in.name == "ARG" && !strings.Contains(whole, "="):
		for _, name := range strings.Fields(whole) {
			if v, ok := d.global[name]; ok {
				add(name, text(v))
			} else {
				add(name, nil)
			}
		}
	case len(pairs) > 0 && (in.name != "ENV" || strings.Contains(name, "=")):
		for _, p := range pairs {
			v := p[2]
			if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') {
				v = v[1 : len(v)-1]
			}
			add(p[1], d.text(v))
		}
	case rest != "":
		add(name, d.text(strings.TrimSpace(rest)))
	}
	return in.put(guard.NewList(all...))
}

// finished are the stages.
func (d *docker) finished() (all []*value) {
	for i, s := range d.stages {
		in := s.at
		m := append(s.fields, in.put2("Final", in.put(guard.NewBool(i == len(d.stages)-1))))
		if s.user != nil {
			m = append(m, in.put2("User", s.user))
		}
		if s.healthcheck || s.from >= 0 && d.stages[s.from].healthcheck {
			m = append(m, in.put2("Healthcheck", in.put(guard.NewBool(true))))
		}
		m = append(m, in.put2("Instructions", in.put(guard.NewList(s.instructions...))))
		all = append(all, in.put(guard.NewMap(m...)))
	}
	return all
}
