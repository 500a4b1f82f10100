package pipeline

import (
	"fmt"
	"strings"
)

// Script is the whole build as one program for its shell. It runs each command
// in a shell of its own that hands its variables and its folder on to the next
// one, as CodeBuild does: so a command that ends its shell ends no more than
// that. What it reports on descriptor 3 is read by buildReport.
func (b Buildspec) Script() string {
	var s strings.Builder
	s.WriteString(prologue)
	for _, p := range b.Phases {
		b.phase(&s, p)
	}
	s.WriteString("exit $haechi_failed\n")
	return s.String()
}

const prologue = `haechi_failed=0
haechi_stop=0
haechi_state="${TMPDIR:-/tmp}/.haechi"
export CODEBUILD_BUILD_SUCCEEDING=1 CODEBUILD_SRC_DIR="$PWD"
export -p >"$haechi_state.env"
pwd >"$haechi_state.dir"
`

func (b Buildspec) phase(s *strings.Builder, p Phase) {
	fmt.Fprintf(s, "if [ $haechi_stop -eq 0 ]; then\nhaechi_rc=0\necho 'begin %s' >&3\nprintf '\\n== phase %%s ==\\n' %s\n", p.Name, p.Name)
	for i, c := range p.Commands {
		command(s, p.Name, i+1, c, "$haechi_rc")
	}
	s.WriteString("haechi_fin=0\n")
	for i, c := range p.Finally {
		command(s, p.Name+" finally", i+1, c, "$haechi_fin")
	}
	s.WriteString("[ $haechi_rc -ne 0 ] || haechi_rc=$haechi_fin\n")
	fmt.Fprintf(s, "echo \"end %s $haechi_rc\" >&3\n", p.Name)
	s.WriteString("if [ $haechi_rc -ne 0 ]; then haechi_failed=1 CODEBUILD_BUILD_SUCCEEDING=0; export CODEBUILD_BUILD_SUCCEEDING; fi\n")
	if p.stops() {
		s.WriteString("[ $haechi_rc -eq 0 ] || haechi_stop=1\n")
	}
	s.WriteString("fi\n")
}

// stops tells whether no later phase runs when this one fails. As at AWS,
// post_build runs after a failed build, to tidy up and to tell.
func (p Phase) stops() bool {
	if p.OnError != "" {
		return p.OnError == "ABORT"
	}
	return p.Name != "build"
}

// command adds one command, to be run while what counts so far is 0.
func command(s *strings.Builder, where string, n int, text, counts string) {
	variable := strings.TrimPrefix(counts, "$")
	fmt.Fprintf(s, "if [ %s -eq 0 ]; then\nprintf '$ %%s\\n' %s\n", counts, quote(text))
	s.WriteString("(\nset -a\ntrap 'set -- $?; set +a; trap - EXIT; export -p >\"$haechi_state.env\"; pwd >\"$haechi_state.dir\"; exit $1' EXIT\n")
	fmt.Fprintf(s, "eval %s\n) 3>&-\n%s=$?\n", quote(text), variable)
	s.WriteString(". \"$haechi_state.env\" 2>/dev/null\ncd \"$(cat \"$haechi_state.dir\")\" 2>/dev/null\n")
	fmt.Fprintf(s, "[ %s -eq 0 ] || printf 'command %d of %s ended with status %%s\\n' %s\nfi\n", counts, n, where, counts)
}

// quote makes one word of s for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
