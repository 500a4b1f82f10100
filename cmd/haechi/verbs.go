package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"golang.org/x/term"
)

// call is one use of the program: what was typed, and the world it was typed in.
type call struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
}

// Exit codes: something is wrong with what was shown, or with how it was asked.
const (
	exitFine  = 0
	exitWrong = 1
	exitUsage = 2
)

// verb is something that haechi does. Its run says what is wrong in an error;
// an error of kind fault.Invalid is a mistake in how it was asked.
type verb struct {
	name    string
	args    string // what follows the flags, for the usage line
	summary string
	help    string // examples, and what a newcomer wants to know
	run     func(ctx context.Context, c call, flags *flag.FlagSet) error
}

// exit ends a verb with a code and without a word: everything was said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// haechi does what c asks and returns the exit code.
func haechi(ctx context.Context, c call) int {
	if len(c.args) == 0 {
		overview(c.stderr)
		return exitUsage
	}
	name, rest := c.args[0], c.args[1:]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-version", "--version":
		name = "version"
	}
	i := slices.IndexFunc(verbs(), func(v verb) bool { return v.name == name })
	if i < 0 {
		fmt.Fprintf(c.stderr, "haechi: there is no %q%s\n'haechi help' lists what there is.\n", name, meant(name, names()))
		return exitUsage
	}
	v := verbs()[i]
	c.args = rest
	return v.do(ctx, c)
}

func (v verb) do(ctx context.Context, c call) int {
	flags := flag.NewFlagSet("haechi "+v.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err := v.run(ctx, c, flags)
	var code exit
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, flag.ErrHelp):
		v.usage(c.stdout, flags)
		return exitFine
	case errors.Is(err, errUsage):
		fmt.Fprintf(c.stderr, "haechi %s: %s\n'haechi help %s' says how it is used.\n", v.name, strings.TrimPrefix(err.Error(), errUsage.Error()+": "), v.name)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		fmt.Fprintf(c.stderr, "haechi %s: interrupted\n", v.name)
		return exitWrong
	}
	fmt.Fprintf(c.stderr, "haechi %s: %s\n", v.name, diag.Detail(err))
	if fault.Of(err) == fault.Invalid {
		return exitUsage
	}
	return exitWrong
}

var errUsage = errors.New("usage")

// usagef is a mistake in how a verb was asked.
func usagef(format string, a ...any) error {
	return fmt.Errorf("%w: %w", errUsage, fmt.Errorf(format, a...))
}

// parse reads a verb's flags, wherever they stand among the arguments, and
// returns the other arguments, of which there must be between least and most (-1: any number).
func parse(c call, flags *flag.FlagSet, least, most int) ([]string, error) {
	var rest []string
	args := c.args
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usagef("%s%s", err, flagHint(err, flags))
		}
		used := len(args) - flags.NArg()
		if used > 0 && args[used-1] == "--" {
			rest = append(rest, flags.Args()...)
			break
		}
		if flags.NArg() == 0 {
			break
		}
		rest = append(rest, flags.Arg(0))
		args = flags.Args()[1:]
	}
	switch {
	case len(rest) < least:
		return nil, usagef("something is missing after %q", strings.TrimSpace(flags.Name()+" "+strings.Join(rest, " ")))
	case most >= 0 && len(rest) > most:
		return nil, usagef("%q is too much", rest[most])
	}
	return rest, nil
}

func flagHint(err error, flags *flag.FlagSet) string {
	_, given, ok := strings.Cut(err.Error(), "flag provided but not defined: -")
	if !ok {
		return ""
	}
	var all []string
	flags.VisitAll(func(f *flag.Flag) { all = append(all, f.Name) })
	if near := diag.Nearest(given, all); near != "" {
		return fmt.Sprintf(" (did you mean -%s?)", near)
	}
	return ""
}

func names() (all []string) {
	for _, v := range verbs() {
		all = append(all, v.name)
	}
	return all
}

func overview(w io.Writer) {
	fmt.Fprint(w, "Haechi guards a service from commit to production.\n\nUsage: haechi VERB [flags] [arguments]\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-11s %s\n", v.name, v.summary)
	}
	fmt.Fprint(w, "\n'haechi demo' shows all of it on this machine; 'haechi help VERB' teaches one.\n")
}

func (v verb) usage(w io.Writer, flags *flag.FlagSet) {
	some := false
	flags.VisitAll(func(*flag.Flag) { some = true })
	line := "Usage: haechi " + v.name
	if some {
		line += " [flags]"
	}
	if v.args != "" {
		line += " " + v.args
	}
	fmt.Fprintf(w, "%s\n\n%s\n", wrapped("haechi "+v.name+": "+v.summary+".", ""), wrapped(line, "       "))
	if v.help != "" {
		fmt.Fprintf(w, "\n%s\n", fitted(strings.Trim(v.help, "\n")))
	}
	if some {
		fmt.Fprintln(w, "\nFlags:")
		flags.VisitAll(func(f *flag.Flag) { fmt.Fprint(w, flagHelp(f)) })
	}
}

// fitted breaks paragraphs anew where one of their lines is too long, and sets
// what an example is for below it where both do not fit one line.
func fitted(help string) string {
	const width = 80
	var out, paragraph []string
	long := false
	end := func() {
		if long {
			paragraph = []string{wrapped(strings.Join(paragraph, " "), "")}
		}
		out, paragraph, long = append(out, paragraph...), nil, false
	}
	for line := range strings.SplitSeq(help, "\n") {
		tooLong := utf8.RuneCountInString(line) > width
		if line != "" && line[0] != ' ' {
			paragraph, long = append(paragraph, line), long || tooLong
			continue
		}
		end()
		if at := strings.LastIndex(line, "  "); tooLong && strings.TrimSpace(line[:at]) != "" {
			out = append(out, strings.TrimRight(line[:at], " "), strings.Repeat(" ", 6)+line[at+2:])
			continue
		}
		out = append(out, line)
	}
	end()
	return strings.Join(out, "\n")
}

// flagHelp is a flag as the standard library prints it, in lines that fit.
func flagHelp(f *flag.Flag) string {
	kind, usage := flag.UnquoteUsage(f)
	head := "  -" + f.Name
	if kind != "" {
		head += " " + kind
	}
	switch f.DefValue {
	case "", "false", "0", "0s":
	default:
		if kind == "string" {
			usage += fmt.Sprintf(" (default %q)", f.DefValue)
		} else {
			usage += fmt.Sprintf(" (default %v)", f.DefValue)
		}
	}
	return head + "\n" + wrapped("        "+usage, "        ") + "\n"
}

// wrapped breaks a line where it is longer than a terminal is wide; the
// following lines begin with indent.
func wrapped(line, indent string) string {
	const width = 80
	var b strings.Builder
	at := 0
	for i, word := range strings.Split(line, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width && strings.TrimSpace(b.String()) != "":
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

// terminal is the width of w if it is a terminal, else 0. COLUMNS wins.
func terminal(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		return 80
	}
	return width
}
