package iac

import (
	"path"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
)

// command is one simple command of a shell script.
type command struct {
	line    int // of the script, from 0
	text    string
	words   []word
	assigns []assign
	pipe    string // what reads its output
	from    string // what it reads the output of
	under   string // sudo, env …
}

// word is a word of a command, without its quotes.
type word struct {
	text  string
	parts []string // around its variables, where it has any
}

type assign struct {
	name  string
	value word
}

// What a script may be at most.
const (
	maxScript   = 1 << 20 // bytes
	maxCommands = 10_000
)

// script parses a POSIX shell script, as far as simple commands can be told apart
// without running it. Text that is no script gives what looks like commands.
func script(text string) []command {
	if len(text) > maxScript {
		text = text[:maxScript]
	}
	p := &shell{text: text}
	p.run()
	return p.all
}

// shell goes through a script.
type shell struct {
	text string
	i    int
	line int

	current command
	start   int  // of the current command
	began   bool //
	piped   bool // the current command reads the last one's output
	heredoc []string
	all     []command
	nested  []string // command substitutions, which are scripts of their own
	depth   int      // of such within each other
}

func (p *shell) run() {
	for p.i < len(p.text) && len(p.all) < maxCommands {
		switch c := p.text[p.i]; {
		case c == '\\' && strings.HasPrefix(p.text[p.i+1:], "\n"):
			p.i += 2
			p.line++
		case c == '\\' && strings.HasPrefix(p.text[p.i+1:], "\r\n"):
			p.i += 3
			p.line++
		case c == '\n':
			if p.began || !p.piped { // a pipe may end a line
				p.end("")
			}
			p.i++
			p.line++
			p.skipHeredocs()
		case c == ' ' || c == '\t' || c == '\r':
			p.i++
		case c == '#':
			p.comment()
		case c == ';' || c == '(' || c == ')' || c == '{' && p.alone() || c == '}' && p.alone():
			p.end("")
			p.i++
		case c == '&' || c == '|':
			p.operator()
		case c == '<' || c == '>' || isRedirect(p.text[p.i:]):
			p.redirect()
		default:
			p.word()
		}
	}
	p.end("")
}

// alone tells whether a brace stands as a word of its own.
func (p *shell) alone() bool {
	return p.i+1 >= len(p.text) || strings.IndexByte(" \t\r\n;", p.text[p.i+1]) >= 0
}

// isRedirect tells whether a number before < or > begins.
func isRedirect(s string) bool {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i > 0 && i < len(s) && (s[i] == '>' || s[i] == '<')
}

func (p *shell) comment() {
	if p.i > 0 && strings.IndexByte(" \t\n;&|(", p.text[p.i-1]) < 0 {
		p.word()
		return
	}
	for p.i < len(p.text) && p.text[p.i] != '\n' {
		p.i++
	}
}

func (p *shell) operator() {
	two := p.text[p.i:min(p.i+2, len(p.text))]
	switch {
	case two == "&&" || two == "||":
		p.end("")
		p.i += 2
	case two == "&>":
		p.i++
		p.redirect()
	case two == "|&":
		p.end("|")
		p.i += 2
	case p.text[p.i] == '|':
		p.end("|")
		p.i++
	default:
		p.end("")
		p.i++
	}
}

// redirect passes over < and > with what follows; a heredoc's lines come later.
func (p *shell) redirect() {
	for p.i < len(p.text) && p.text[p.i] >= '0' && p.text[p.i] <= '9' {
		p.i++
	}
	heredoc := strings.HasPrefix(p.text[p.i:], "<<") && !strings.HasPrefix(p.text[p.i:], "<<<")
	for p.i < len(p.text) && strings.IndexByte("<>&|-", p.text[p.i]) >= 0 {
		p.i++
	}
	if strings.HasPrefix(p.text[p.i:], "(") { // process substitution
		p.substitution()
		return
	}
	for p.i < len(p.text) && (p.text[p.i] == ' ' || p.text[p.i] == '\t') {
		p.i++
	}
	w := p.scan()
	if heredoc && w.text != "" {
		p.heredoc = append(p.heredoc, w.text)
	}
}

// skipHeredocs passes over the texts that stand below a line with <<.
func (p *shell) skipHeredocs() {
	for _, end := range p.heredoc {
		for p.i < len(p.text) {
			line, _, more := strings.Cut(p.text[p.i:], "\n")
			p.i += len(line) + 1
			p.line++
			if strings.TrimSpace(line) == end || !more {
				break
			}
		}
	}
	p.i = min(p.i, len(p.text))
	p.heredoc = nil
}

// word takes in the next word: a variable that is set, a keyword, or a part of the command.
func (p *shell) word() {
	if !p.began {
		p.began, p.start = true, p.i
		p.current.line = p.line
	}
	before := p.i
	w := p.scan()
	if p.i == before { // a byte that begins nothing
		p.i++
		return
	}
	if len(p.current.words) == 0 {
		if name, _, ok := strings.Cut(p.text[before:p.i], "="); ok && isName(name) {
			v := w
			v.text = strings.TrimPrefix(w.text, name+"=")
			if len(w.parts) > 0 {
				v.parts = append([]string{strings.TrimPrefix(w.parts[0], name+"=")}, w.parts[1:]...)
			}
			p.current.assigns = append(p.current.assigns, assign{name, v})
			return
		}
		switch w.text {
		case "if", "then", "else", "elif", "do", "while", "until", "!", "fi", "done", "esac":
			p.began = false
			return
		}
	}
	p.current.words = append(p.current.words, w)
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// scan reads one word.
func (p *shell) scan() word {
	var b strings.Builder
	var parts []string
	hole := func() {
		parts = append(parts, b.String())
		b.Reset()
	}
	quoted := byte(0)
loop:
	for p.i < len(p.text) {
		c := p.text[p.i]
		switch {
		case quoted == '\'':
			if c == '\'' {
				quoted = 0
			} else {
				b.WriteByte(c)
			}
			p.newline(c)
			p.i++
		case c == '\\' && p.i+1 < len(p.text):
			if p.text[p.i+1] != '\n' {
				b.WriteByte(p.text[p.i+1])
			} else {
				p.line++
			}
			p.i += 2
		case c == '$' && p.variable():
			hole()
		case c == '`':
			p.backticks()
			hole()
		case quoted == '"':
			if c == '"' {
				quoted = 0
			} else {
				b.WriteByte(c)
			}
			p.newline(c)
			p.i++
		case c == '\'' || c == '"':
			quoted = c
			p.i++
		case strings.IndexByte(" \t\r\n;&|<>()", c) >= 0:
			break loop
		default:
			b.WriteByte(c)
			p.i++
		}
	}
	if parts == nil {
		return word{text: b.String()}
	}
	hole()
	return word{text: strings.Join(parts, "$"), parts: parts}
}

func (p *shell) newline(c byte) {
	if c == '\n' {
		p.line++
	}
}

// variable passes over $x, ${x}, $(x) and $((x)); false where it is a dollar sign.
func (p *shell) variable() bool {
	rest := p.text[p.i+1:]
	switch {
	case rest == "":
		return false
	case rest[0] == '{':
		end := strings.IndexByte(rest, '}')
		if strings.HasPrefix(rest, "{{") { // an expression of GitHub's
			if end = strings.Index(rest, "}}"); end >= 0 {
				end++
			}
		}
		if end < 0 {
			return false
		}
		p.line += strings.Count(rest[:end], "\n")
		p.i += end + 2
		return true
	case rest[0] == '(':
		p.i++
		p.substitution()
		return true
	}
	n := 0
	for n < len(rest) && (rest[n] == '_' || rest[n] >= 'a' && rest[n] <= 'z' || rest[n] >= 'A' && rest[n] <= 'Z' || n > 0 && rest[n] >= '0' && rest[n] <= '9') {
		n++
	}
	if n == 0 && strings.IndexByte("0123456789@*#?!$-", rest[0]) >= 0 {
		n = 1
	}
	p.i += 1 + n
	if n == 0 {
		p.i--
	}
	return n > 0
}

// substitution passes over ( … ) and keeps what is within as a script.
func (p *shell) substitution() {
	depth, start := 0, p.i+1
	for ; p.i < len(p.text); p.i++ {
		switch p.text[p.i] {
		case '\n':
			p.line++
		case '\\':
			p.i++
		case '\'':
			end := strings.IndexByte(p.text[p.i+1:], '\'')
			if end > 0 {
				p.line += strings.Count(p.text[p.i+1:p.i+1+end], "\n")
				p.i += end + 1
			}
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.nested = append(p.nested, p.text[start:p.i])
				p.i++
				return
			}
		}
	}
	p.i = len(p.text)
}

func (p *shell) backticks() {
	end := strings.IndexByte(p.text[p.i+1:], '`')
	if end < 0 {
		p.i++
		return
	}
	p.nested = append(p.nested, p.text[p.i+1:p.i+1+end])
	p.line += strings.Count(p.text[p.i:p.i+end+1], "\n")
	p.i += end + 2
}

// runners are programs that run what follows them.
var runners = map[string]bool{"sudo": true, "env": true, "exec": true, "time": true, "command": true, "nohup": true, "doas": true}

// end finishes the current command. by is | where its output goes to the next one.
func (p *shell) end(by string) {
	c := p.current
	c.text = strings.TrimSpace(p.text[min(p.start, len(p.text)):min(p.i, len(p.text))])
	nested := p.nested
	p.current, p.nested = command{}, nil
	wasPiped := p.piped
	began := p.began
	p.began, p.piped = false, by == "|" && (began || wasPiped)
	if len(c.words) > 0 || len(c.assigns) > 0 {
		last := len(p.all) - 1
		if wasPiped && last >= 0 {
			c.from = p.all[last].name()
			for i := last; i >= 0; i-- { // also of what sudo runs
				p.all[i].pipe = c.name()
				if p.all[i].under == "" {
					break
				}
			}
		}
		p.all = append(p.all, c)
		p.under(c)
	}
	const deepest = 5
	for _, text := range nested {
		if p.depth >= deepest || len(p.all) > maxCommands {
			continue
		}
		inner := &shell{text: text, line: c.line, depth: p.depth + 1}
		inner.run()
		p.all = append(p.all, inner.all...)
	}
}

// under adds what sudo and its like run as a command of its own.
func (p *shell) under(c command) {
	for range 5 {
		name := c.name()
		if !runners[name] {
			return
		}
		i := 1
		for i < len(c.words) && (strings.HasPrefix(c.words[i].text, "-") || name == "env" && strings.Contains(c.words[i].text, "=")) {
			if name == "sudo" && (c.words[i].text == "-u" || c.words[i].text == "-g") {
				i++
			}
			i++
		}
		if i >= len(c.words) {
			return
		}
		c.words, c.under, c.assigns = c.words[i:], name, nil
		p.all = append(p.all, c)
	}
}

func (c *command) name() string {
	if len(c.words) == 0 {
		return ""
	}
	return path.Base(c.words[0].text)
}

// value is the command as rules see it; at is where its script stands.
func (c *command) value(at *value, firstLine int) *value {
	put := func(v *value) *value {
		v.As(at)
		if firstLine > 0 {
			v.OnLine(firstLine + c.line)
		}
		return v
	}
	list := func(words []word) *value {
		var all []*value
		for _, w := range words {
			all = append(all, put(w.value()))
		}
		return put(guard.NewList(all...))
	}
	var arguments, others []word
	var flags []word
	if len(c.words) > 0 {
		arguments = c.words[1:]
	}
	for i, w := range arguments {
		if w.text == "--" {
			others = append(others, arguments[i+1:]...)
			break
		}
		if !strings.HasPrefix(w.text, "-") || w.text == "-" {
			others = append(others, w)
			continue
		}
		flags = append(flags, flagsOf(w)...)
	}
	field := func(name string, v *value) member { return pair(put(text(name)), v) }
	m := []member{field("Name", put(text(c.name()))), field("Text", put(text(c.text))), field("Arguments", list(arguments)), field("Flags", list(flags)), field("Words", list(others))}
	for _, x := range [][2]string{{"Pipe", c.pipe}, {"From", c.from}, {"Under", c.under}} {
		if x[1] != "" {
			m = append(m, pair(put(text(x[0])), put(text(x[1]))))
		}
	}
	if len(c.assigns) > 0 {
		var all []*value
		for _, a := range c.assigns {
			all = append(all, put(guard.NewMap(pair(put(text("Name")), put(text(a.name))), pair(put(text("Value")), put(a.value.value())))))
		}
		m = append(m, pair(put(text("Assigns")), put(guard.NewList(all...))))
	}
	return put(guard.NewMap(m...))
}

// flagsOf takes -yq apart; --name=value is as it is, and also --name.
func flagsOf(w word) []word {
	if strings.HasPrefix(w.text, "--") {
		if name, _, ok := strings.Cut(w.text, "="); ok {
			return []word{{text: name}, w}
		}
		return []word{w}
	}
	if w.parts != nil || len(w.text) <= 2 {
		return []word{w}
	}
	all := []word{w}
	for _, r := range w.text[1:] {
		if r < 'A' || r > 'z' {
			break
		}
		all = append(all, word{text: "-" + string(r)})
	}
	return all
}

func (w word) value() *value {
	if w.parts == nil {
		return text(w.text)
	}
	return guard.NewUnknown(guard.Unknown{Why: "a variable of the shell", Present: true, Parts: w.parts})
}

// commands are those of a script that stands at at, its first line on firstLine.
func commands(scriptText string, at *value, firstLine int) *value {
	var all []*value
	for _, c := range script(scriptText) {
		all = append(all, c.value(at, firstLine))
	}
	return guard.NewList(all...).As(at)
}
