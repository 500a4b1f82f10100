package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

func helpVerb() verb {
	return verb{name: "help", args: "[VERB]", summary: "what there is, and how it is used", run: func(ctx context.Context, c call, flags *flag.FlagSet) error {
		rest, err := parse(c, flags, 0, 1)
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			overview(c.stdout)
			return nil
		}
		i := slices.IndexFunc(verbs(), func(v verb) bool { return v.name == rest[0] })
		if i < 0 {
			return usagef("there is no %q; %s", rest[0], diag.DidYouMean(rest[0], names()))
		}
		v := verbs()[i]
		_ = v.run(ctx, call{args: []string{"-help"}, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, env: c.env}, flags) // defines the flags, and stops at -help
		v.usage(c.stdout, flags)
		return nil
	}}
}

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

// Version is what this program is: a release, or the commit it was built from.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (text == "" || text == "(devel)") {
			text = "commit " + s.Value[:min(12, len(s.Value))]
		}
	}
	return text
}

func versionVerb() verb {
	return verb{name: "version", summary: "which Haechi this is", run: func(_ context.Context, c call, flags *flag.FlagSet) error {
		if _, err := parse(c, flags, 0, 0); err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "haechi %s %s/%s %s\n", versionText(), runtime.GOOS, runtime.GOARCH, runtime.Version())
		return nil
	}}
}

func completionVerb() verb {
	return verb{name: "completion", args: "bash|zsh|fish", summary: "completion for a shell", help: `
  source <(haechi completion bash)        in ~/.bashrc
  source <(haechi completion zsh)         in ~/.zshrc, after compinit
  haechi completion fish | source         in ~/.config/fish/config.fish`, run: func(_ context.Context, c call, flags *flag.FlagSet) error {
		rest, err := parse(c, flags, 1, 1)
		if err != nil {
			return err
		}
		all := strings.Join(names(), " ")
		switch rest[0] {
		case "bash":
			fmt.Fprintf(c.stdout, "_haechi() {\n  if [ \"$COMP_CWORD\" = 1 ]; then\n    COMPREPLY=($(compgen -W %q -- \"${COMP_WORDS[1]}\"))\n  else\n    COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n  fi\n}\ncomplete -o filenames -F _haechi haechi\n", all)
		case "zsh":
			fmt.Fprint(c.stdout, "_haechi() {\n  local -a verbs\n  verbs=(\n")
			for _, v := range verbs() {
				fmt.Fprintf(c.stdout, "    '%s:%s'\n", v.name, strings.ReplaceAll(v.summary, "'", "’"))
			}
			fmt.Fprint(c.stdout, "  )\n  if (( CURRENT == 2 )); then _describe verb verbs; else _files; fi\n}\ncompdef _haechi haechi\n")
		case "fish":
			for _, v := range verbs() {
				fmt.Fprintf(c.stdout, "complete -c haechi -n __fish_use_subcommand -f -a %s -d '%s'\n", v.name, strings.ReplaceAll(v.summary, "'", "’"))
			}
		default:
			return usagef("a shell is bash, zsh or fish, not %q", rest[0])
		}
		return nil
	}}
}
