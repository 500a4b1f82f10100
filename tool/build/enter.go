package build

import (
	"context"
	"io"
	"path/filepath"
	"slices"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// Enter runs a shell that is typed into, in the folder of a build that has ended,
// within the same walls and with the variables that it began with, but without
// its secrets; see Scrub for those in files. It gives the shell's status.
func (b *Builder) Enter(ctx context.Context, p Plan, in io.Reader, out io.Writer) (exit int, err error) {
	p.Secrets, p.Git = nil, nil
	r := &running{Builder: b, plan: p, spec: p.Spec, log: &tap{to: out}, work: sandbox.Work}
	level, err := b.runner.Level(ctx)
	if err != nil {
		return -1, err
	}
	if level == sandbox.Bare {
		if r.work, err = filepath.Abs(p.Dir); err != nil {
			return -1, err
		}
	}
	env, err := r.environment()
	if err != nil {
		return -1, err
	}
	const enter = `cd "$2" || exit 125
for d in /bin /usr/bin /usr/local/bin; do [ ! -x "$d/$1" ] || exec "$d/$1" -i +m; done
exec /bin/sh -i +m`
	if !slices.ContainsFunc(env, func(e string) bool { return len(e) > 4 && e[:4] == "PS1=" }) {
		env = append(env, `PS1=build$ `)
	}
	return b.runner.Run(ctx, sandbox.Step{
		Argv: []string{"/bin/sh", "-c", enter, "sh", p.Spec.Shell, r.work + "/src"}, Env: env, Work: p.Dir, Stdin: in,
		Tools: p.Tools, Root: p.Root, Egress: p.Egress, Limits: p.Limits,
	}, out)
}
