package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

func completionVerb() verb {
	return verb{name: "completion", args: "bash|zsh|fish", summary: "completion for a shell", help: `
  source <(haechi completion bash)        in ~/.bashrc
  source <(haechi completion zsh)         in ~/.zshrc, after compinit
  haechi completion fish | source         in ~/.config/fish/config.fish`, run: completion}
}

func completion(ctx context.Context, c call, flags *flag.FlagSet) error {
	rest, err := parse(c, flags, 1, 1)
	if err != nil {
		return err
	}
	var all []completed
	for _, v := range verbs() {
		all = append(all, v.completed(ctx, c.env))
	}
	switch rest[0] {
	case "bash":
		completeBash(c.stdout, all)
	case "zsh":
		completeZsh(c.stdout, all)
	case "fish":
		completeFish(c.stdout, all)
	default:
		return usagef("a shell is bash, zsh or fish, not %q", rest[0])
	}
	return nil
}

// completed is what can follow a verb.
type completed struct {
	name, summary string
	words         []string // where the first argument is one of these
	flags         []*flag.Flag
}

func (v verb) completed(ctx context.Context, env func(string) string) completed {
	c := completed{name: v.name, summary: v.summary}
	if v.name == "help" {
		c.words = names()
		return c
	}
	for part := range strings.SplitSeq(v.args, "|") {
		first, _, _ := strings.Cut(strings.TrimLeft(part, " ["), " ")
		if first = strings.Trim(first, "[]"); plainWord.MatchString(first) && !slices.Contains(c.words, first) {
			c.words = append(c.words, first)
		}
	}
	if v.name != "completion" { // which would ask itself
		flags := flag.NewFlagSet("haechi "+v.name, flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		v.define(ctx, env, flags)
		flags.VisitAll(func(f *flag.Flag) { c.flags = append(c.flags, f) })
	}
	return c
}

var plainWord = regexp.MustCompile("^[a-z]+$")

func (c completed) options() string {
	var all []string
	for _, f := range c.flags {
		all = append(all, "-"+f.Name)
	}
	return strings.Join(all, " ")
}

func completeBash(w io.Writer, all []completed) {
	fmt.Fprintf(w, "_haechi() {\n  local cur=${COMP_WORDS[COMP_CWORD]} words= flags=\n  case $COMP_CWORD:${COMP_WORDS[1]} in\n    1:*) words=%q ;;\n", strings.Join(names(), " "))
	for _, c := range all {
		fmt.Fprintf(w, "    *:%s) words=%q flags=%q ;;\n", c.name, strings.Join(c.words, " "), c.options())
	}
	fmt.Fprint(w, `  esac
  COMPREPLY=()
  case $cur in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$cur")) ;;
    *) [ "$COMP_CWORD" -gt 2 ] || COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
  esac
  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _haechi haechi
`)
}

func completeZsh(w io.Writer, all []completed) {
	fmt.Fprint(w, "_haechi() {\n  local -a verbs\n  verbs=(\n")
	for _, c := range all {
		fmt.Fprintf(w, "    '%s:%s'\n", c.name, unquotable(c.summary))
	}
	fmt.Fprint(w, "  )\n  if (( CURRENT == 2 )); then _describe verb verbs; return; fi\n  case $words[2] in\n")
	for _, c := range all {
		fmt.Fprintf(w, "    %s)\n      if [[ $words[CURRENT] == -* ]]; then compadd -- %s; return; fi\n", c.name, c.options())
		if len(c.words) > 0 {
			fmt.Fprintf(w, "      if (( CURRENT == 3 )); then compadd -- %s; fi\n", strings.Join(c.words, " "))
		}
		fmt.Fprint(w, "      ;;\n")
	}
	fmt.Fprint(w, "  esac\n  _files\n}\ncompdef _haechi haechi\n")
}

func completeFish(w io.Writer, all []completed) {
	for _, c := range all {
		fmt.Fprintf(w, "complete -c haechi -n __fish_use_subcommand -f -a %s -d '%s'\n", c.name, unquotable(c.summary))
		if len(c.words) > 0 {
			fmt.Fprintf(w, "complete -c haechi -n '__fish_seen_subcommand_from %s' -a '%s'\n", c.name, strings.Join(c.words, " "))
		}
		for _, f := range c.flags {
			_, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(w, "complete -c haechi -n '__fish_seen_subcommand_from %s' -o %s -d '%s'\n", c.name, f.Name, unquotable(usage))
		}
	}
}

// unquotable is text that can stand between single quotes in any shell.
func unquotable(text string) string {
	return strings.NewReplacer("'", "’", "\\", "/", "\n", " ").Replace(text)
}
