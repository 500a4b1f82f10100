package build

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/seal"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/tool/rootfs"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

// Images unpacks container images, for steps to have as their file system.
type Images interface {
	// Image is an image in use, until it is closed.
	Image(ctx context.Context, name string) (*rootfs.Root, error)
}

// Exits makes the ways out of builds.
type Exits struct {
	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // an outbound.Dialer's
	Tunnel []string                                                             // hosts whose TLS is passed on unread
	Local  http.Handler                                                         // answers at http://haechi.internal/; nil for nobody
	Allow  string                                                               // how a host can be allowed, for whoever is refused
}

// open is the way out of one build.
func (e *Exits) open(t Task) (*egress.Proxy, error) {
	return egress.New(egress.Config{Rules: t.Egress, Dial: e.Dial, Tunnel: e.Tunnel, Local: e.Local, Allow: e.Allow})
}

// downloads are what went over a way out.
func downloads(p *egress.Proxy) (all []Download) {
	records, more := p.Records()
	for _, r := range records {
		all = append(all, Download{Method: r.Method, URL: r.URL(), Digest: r.Digest, Size: r.Received, Status: r.Status, Denied: r.Refused})
	}
	if more > 0 {
		all = append(all, Download{URL: fmt.Sprintf("(and %d more)", more)})
	}
	return all
}

// Machine does tasks: this server, or a runner elsewhere.
type Machine struct {
	Builder Builder
	Images  Images         // nil: there is the machine's own toolchain only
	Exits   *Exits         // nil: there is no way out
	Tools   []sandbox.Tool // what builds may read besides the system's programs
	Env     []Pair         // what builds find in their environment
	Limits  sandbox.Limits
	Level   func(context.Context) (sandbox.Level, error) // how well it isolates builds; nil: nobody knows
}

// Done is what became of a task.
type Done struct {
	tool.Result
	Downloads []Download `json:"downloads,omitzero"`
	Image     string     `json:"image,omitzero"` // digest of the image that it ran in
}

// Room is where a machine does one task.
type Room struct {
	Dir     string // the build's folder, with its sources in src
	Out     string // where artifacts are put
	Secret  string // a folder of ours, for its token
	Cache   tool.Cache
	Changed func(tool.Phase)
}

// Do does a task. What is wrong with the build is in the result; an error is the machine's fault.
func (m Machine) Do(ctx context.Context, t Task, at Room, log io.Writer) (d Done, err error) {
	spec := t.spec
	if spec == nil {
		if spec, err = tool.Parse(t.SpecName, []byte(t.Spec)); err != nil {
			return d, err
		}
	}
	p := tool.Plan{
		Spec: spec, Dir: at.Dir, Out: at.Out, Facts: t.Facts, Env: slices.Concat(m.Env, t.Env), Variables: slices.Concat(t.Variables, t.Parameters), Secrets: t.Secrets,
		Tools: slices.Clone(m.Tools), Limits: m.Limits, Changed: at.Changed,
	}
	p.Limits.Time = t.limit()
	for _, source := range t.Sources {
		p.Clones = append(p.Clones, source.clones()...)
	}
	if why, err := m.weaker(ctx, t.Least); why != "" || err != nil {
		return refusal(clientError, why, "build it on a machine with more walls, or let the pipeline allow fewer"), err
	}
	if t.Memory > 0 {
		p.Limits.Memory, p.Limits.Total = min(cmp.Or(p.Limits.Memory, t.Memory), t.Memory), min(cmp.Or(p.Limits.Total, t.Memory), t.Memory)
	}
	if t.Caches {
		p.Cache = at.Cache
	}
	if t.Image != "" {
		if m.Images == nil {
			return refusal(clientError, fmt.Sprintf("the image %s: this machine has its own toolchain only", t.Image), "leave the image out, or name "+OwnImage), nil
		}
		root, err := m.Images.Image(ctx, t.Image)
		if err != nil && ctx.Err() == nil {
			return refusal(noImage, err.Error(), "see whether the image is there, and may be fetched"), nil
		}
		if err != nil {
			return d, err
		}
		defer root.Close()
		p.Root, p.AsRoot, d.Image = root.Path, root.Owned, root.Digest
		p.Env = append(pairs(root.Env), p.Env...)
		fmt.Fprintf(log, "image: %s %s\n", t.Image, root.Digest)
	}
	if t.Token != "" {
		file, done, err := WriteToken(at.Secret, seal.Secret(t.Token))
		if err != nil {
			return d, err
		}
		defer done()
		p.Tools = append(p.Tools, sandbox.Tool{From: file, To: TokenFile})
	}
	var out *egress.Proxy
	if m.Exits != nil {
		if out, err = m.Exits.open(t); err != nil {
			return d, err
		}
		defer out.Close()
		p.Egress = out
		if t.Token != "" && m.Exits.Local != nil && m.walled(ctx) {
			p.Env = append(p.Env, Pair{Name: "AWS_ENDPOINT_URL_STS", Value: "http://" + egress.LocalHost})
		}
	} else if len(t.Egress.Ordered) > 0 || t.Egress.Default == egress.AllowAll {
		return refusal(clientError, "this machine has no way out for builds", "leave proxyConfiguration out"), nil
	}
	d.Result, err = m.Builder.Run(ctx, p, log)
	if out != nil {
		d.Downloads = downloads(out)
	}
	return d, err
}

// walled tells whether builds have a network of their own.
func (m Machine) walled(ctx context.Context) bool {
	if m.Level == nil {
		return false
	}
	got, err := m.Level(ctx)
	return err == nil && got <= sandbox.Namespaces
}

// pairs are variables as an image has them.
func pairs(env []string) (all []Pair) {
	for _, e := range env {
		if name, value, ok := strings.Cut(e, "="); ok && variableName().MatchString(name) {
			all = append(all, Pair{Name: name, Value: value})
		}
	}
	return all
}

// weaker says why this machine's walls are not enough for a task.
func (m Machine) weaker(ctx context.Context, least string) (why string, err error) {
	if least == "" {
		return "", nil
	}
	want, err := sandbox.ParseLevel(least)
	if err != nil {
		return err.Error(), nil
	}
	if m.Level == nil {
		return "nobody knows how well this machine isolates builds", nil
	}
	got, err := m.Level(ctx)
	if err == nil && got > want {
		why = fmt.Sprintf("this machine isolates builds at level %s, and the pipeline wants %s", got, want)
	}
	return why, err
}

// The codes of CodeBuild's that a machine refuses a task with, before the reason. verdict takes them apart.
const (
	clientError  = "CLIENT_ERROR"
	noImage      = "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE"
	provisioning = "provisioning" // where that is
)

// refusal is the result of a task that this machine cannot do.
func refusal(code, text, do string) (d Done) {
	d.Status, d.Reason, d.Do, d.Where = tool.Failed, code+": "+text, do, provisioning
	return d
}

// makeRoom makes the folders of one task below dir; done removes them.
func makeRoom(dir string) (at Room, done func(), err error) {
	if dir, err = filepath.Abs(dir); err != nil { // walls are built elsewhere
		return at, nil, err
	}
	own, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return at, nil, err
	}
	at = Room{Dir: filepath.Join(own, "work"), Out: filepath.Join(own, "out"), Secret: filepath.Join(own, "secret")}
	done = func() { _ = tool.Remove(own) }
	for _, d := range []string{at.Dir, at.Out, at.Secret} {
		if err := os.Mkdir(d, 0o755); err != nil {
			done()
			return at, nil, err
		}
	}
	return at, done, os.Chmod(at.Secret, 0o700)
}

// MakeRoom is where a runner does one task, below dir; done removes it.
func MakeRoom(dir string) (at Room, done func(), err error) { return makeRoom(dir) }

// SourceDir is the folder that a source is laid out in, made and empty.
func (at Room) SourceDir(s TaskSource) (string, error) {
	if s.ID == "" {
		return tool.Sources(at.Dir)
	}
	dir := tool.Secondary(at.Dir, s.ID)
	return dir, os.Mkdir(dir, 0o755)
}
