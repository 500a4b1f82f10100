package image

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// Scanner stands for the scan of the image itself in lists of scanners: Image.Scan does it. Of a tree it wants nothing.
type Scanner struct{}

// Name is "image".
func (Scanner) Name() string { return Name }

// Wants nothing.
func (Scanner) Wants(string) bool { return false }

// Begin begins what has nothing to do.
func (Scanner) Begin(context.Context, fs.FS, scan.Out) scan.Pass { return idle{} }

type idle struct{}

func (idle) File(scan.File) error { return nil }
func (idle) End() error           { return nil }

// What of an image is no file has a place all the same.
const (
	placeConfig  = "(image)/config"
	placeEnv     = "(image)/env"
	placeLabels  = "(image)/labels"
	placeHistory = "(image)/history"
)

// flaw is something wrong with an image that is no matter of one file's text.
type flaw struct {
	rule, title, what, fix string
	severity               finding.Label
	place                  diag.Place
	key                    string // what tells it from others of the rule
	layer                  *component.Layer
	cwe                    string
}

func (f flaw) finding() finding.Finding {
	fields := finding.At(f.place)
	fields[finding.FieldFingerprint] = finding.Fingerprint("image", f.rule, f.key)
	fields[finding.FieldCWE] = f.cwe
	x := finding.Finding{GeneratorID: "image/" + f.rule, Title: finding.Shorten(f.title, 256), Description: finding.Shorten(f.what, 1000),
		Types: []string{"Software and Configuration Checks/Container Images"}, Severity: &finding.Severity{Label: f.severity},
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(f.fix, 512)}}, ProductFields: fields}
	if f.layer != nil {
		mark(&x, f.layer)
	}
	return x
}

// check is the scan of the image itself.
func (img *Image) check(o scan.Options) scan.Run {
	run := scan.Run{Scan: finding.Scan{Tool: Name, Target: o.Target, Branch: o.Branch, Commit: o.Commit}}
	for _, list := range [][]flaw{img.user(), img.ports(), img.steps(), img.modes(), img.shadow(), img.special()} {
		for _, f := range list {
			run.Findings = append(run.Findings, f.finding())
		}
	}
	slices.SortStableFunc(run.Findings, func(a, b finding.Finding) int {
		p, q := a.Place(), b.Place()
		return cmp.Or(strings.Compare(p.File, q.File), p.Line-q.Line, strings.Compare(a.GeneratorID, b.GeneratorID))
	})
	return run
}

func (img *Image) user() []flaw {
	user, _, _ := strings.Cut(img.Config.User, ":")
	f := flaw{rule: "root", severity: finding.Medium, place: diag.Place{File: placeConfig}, cwe: "CWE-250",
		what: "What breaks into the container is root in it, and one mistake of the kernel or of a mount away from being root outside.",
		fix:  "Make a user in the Dockerfile and end it with USER and its number, so that Kubernetes' runAsNonRoot can check it."}
	switch n, err := strconv.Atoi(user); {
	case user == "":
		f.title = "The image says no USER, and so runs as root"
	case user == "root", err == nil && n == 0:
		f.title = "The image runs as " + user
	default:
		return nil
	}
	return []flaw{f}
}

func (img *Image) ports() []flaw {
	var all []flaw
	for _, port := range img.Config.Ports {
		number, protocol, _ := strings.Cut(port, "/")
		if (number == "22" || number == "2222") && (protocol == "" || protocol == "tcp") {
			all = append(all, flaw{rule: "ssh", severity: finding.Medium, place: diag.Place{File: placeConfig}, key: port, cwe: "CWE-668",
				title: "The image exposes SSH, port " + finding.Shorten(port, 20),
				what:  "A container that people log in to has keys and passwords of its own, and changes that no image holds.",
				fix:   "Leave the SSH server out, and use docker exec or kubectl exec, which know who is asking."})
		}
	}
	return all
}

var (
	addRemote = regexp.MustCompile(`(?:^|\s)ADD\s+(?:--?\S+\s+)*(?:[0-9a-f:]+ in )?["\[]*(https?://\S+|ftp://\S+)`)
	pipeShell = regexp.MustCompile(`\b(?:curl|wget)\b[^|;&]*\|\s*(?:sudo\s+)?(?:/bin/|/usr/bin/)?(?:ba|z|da)?sh\b`)
)

// steps are what the history says of how the image was made.
func (img *Image) steps() []flaw {
	var all []flaw
	for i, s := range img.Config.History {
		text := s.Command[:min(len(s.Command), 64<<10)]
		f := flaw{place: diag.Place{File: placeHistory, Line: i + 1}, key: command(text)}
		if s.Layer >= 0 {
			f.layer = img.layer(s.Layer)
		}
		if m := addRemote.FindStringSubmatch(text); m != nil && !strings.Contains(text, "--checksum") {
			f.rule, f.severity, f.cwe = "add-remote", finding.Low, "CWE-494"
			f.title = "The image was built with ADD of " + finding.Shorten(withoutUser(m[1]), 150)
			f.what = "Whoever holds that address, or the way to it, decides what is in the image, and nobody notices when it changes."
			f.fix = "Use ADD --checksum=sha256:…, or fetch it in a RUN that compares its digest."
			all = append(all, f)
		}
		if pipeShell.MatchString(text) {
			f.rule, f.severity, f.cwe = "pipe-shell", finding.Low, "CWE-494"
			f.title = "The image was built by running what was downloaded, unseen"
			f.what = "A step of its history hands a download to a shell: " + finding.Shorten(command(text), 300)
			f.fix = "Fetch the script, compare its digest with one that stands in the Dockerfile, then run it."
			all = append(all, f)
		}
	}
	return all
}

// withoutUser is an address without the name and password that may stand in it.
func withoutUser(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	host, after, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	after, _, _ = strings.Cut(after, "?")
	return strings.ToValidUTF8(scheme+"://"+host+"/"+after, "\uFFFD")
}

// mostFlaws is how many files one rule tells of.
const mostFlaws = 100

// modes are files with rights that nobody should have.
func (img *Image) modes() []flaw {
	var all []flaw
	writable, first, count := "", (*component.Layer)(nil), 0
	img.tree.each(len(img.Layers)-1, func(name string, v *version, seen bool) {
		if !seen || v.kind != isFile {
			return
		}
		shown := strings.ToValidUTF8(name, "\uFFFD")
		others := v.mode.Perm()&0o002 != 0
		switch {
		case v.mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && v.mode.Perm()&0o022 != 0 && (others || v.mode&fs.ModeSetuid != 0):
			if len(all) < mostFlaws {
				all = append(all, flaw{rule: "setuid-writable", severity: finding.High, place: diag.Place{File: shown}, key: shown, layer: img.layer(int(v.layer)), cwe: "CWE-732",
					title: shown + " runs with its owner's rights, and others may write to it",
					what:  fmt.Sprintf("Its mode is %v: whoever may write to it decides what runs with those rights.", v.mode),
					fix:   "Take the right to write from all but its owner, or the setuid and setgid bits: chmod go-w, chmod ug-s."})
			}
		case others:
			if count++; count == 1 {
				writable, first = shown, img.layer(int(v.layer))
			}
		}
	})
	if count > 0 {
		what := fmt.Sprintf("Everybody in the container may write to %s", writable)
		if count > 1 {
			what += fmt.Sprintf(" and %d other files", count-1)
		}
		all = append(all, flaw{rule: "world-writable", severity: finding.Low, place: diag.Place{File: writable}, layer: first, cwe: "CWE-732",
			title: "Files that everybody may write to", what: what + ".", fix: "chmod o-w them, or COPY them with --chmod."})
	}
	return all
}

// shadow are accounts without a password.
func (img *Image) shadow() []flaw {
	f, err := img.FS().Open("etc/shadow")
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil
	}
	var all []flaw
	line := 0
	for l := range strings.Lines(string(text)) {
		line++
		fields := strings.Split(strings.TrimSpace(l), ":")
		if len(fields) < 8 || fields[0] == "" || fields[1] != "" || len(all) == mostFlaws {
			continue
		}
		name := finding.Shorten(strings.ToValidUTF8(fields[0], "\uFFFD"), 40)
		all = append(all, flaw{rule: "no-password", severity: finding.High, place: diag.Place{File: "etc/shadow", Line: line}, key: name, layer: img.Layer("etc/shadow"), cwe: "CWE-258",
			title: "The account " + name + " has an empty password", what: "Whatever asks for a password in the container lets everybody in as " + name + ".",
			fix: "Lock it: passwd -l " + name + ", or take a base image that does."})
	}
	return all
}

// special are devices that layers bring.
func (img *Image) special() []flaw {
	var all []flaw
	for _, d := range img.devices[:min(len(img.devices), mostFlaws)] {
		if d.plain() {
			continue
		}
		shown := strings.ToValidUTF8(d.name, "\uFFFD")
		all = append(all, flaw{rule: "device", severity: finding.Medium, place: diag.Place{File: shown}, key: shown, layer: img.layer(d.layer), cwe: "CWE-668",
			title: "The image brings a device: " + shown, what: fmt.Sprintf("Device %d:%d: a container that may make devices reaches what it stands for.", d.major, d.minor),
			fix: "Leave it out: the runtime makes the devices that a container needs."})
	}
	return all
}

// plain tells a device that every container has: null, zero, full, random, the
// terminal; and 0:0, with which overlay file systems delete.
func (d device) plain() bool {
	switch d.major {
	case 0:
		return d.minor == 0
	case 1:
		return slices.Contains([]int64{3, 5, 7, 8, 9}, d.minor)
	case 5:
		return d.minor <= 2
	}
	return false
}

// configured looks for secrets in what of the image is no file.
func (img *Image) configured(l looker, run *scan.Run) {
	labels := make([]string, 0, len(img.Config.Labels))
	for _, key := range slices.Sorted(maps.Keys(img.Config.Labels)) {
		labels = append(labels, key+"="+img.Config.Labels[key])
	}
	var history []string
	for _, s := range img.Config.History {
		history = append(history, s.Command)
	}
	for _, part := range []struct {
		place string
		lines []string
	}{{placeEnv, img.Config.Env}, {placeLabels, labels}, {placeHistory, history}} {
		place := part.place
		var text strings.Builder
		for _, l := range part.lines {
			text.WriteString(strings.ReplaceAll(strings.ReplaceAll(l, "\n", " "), "\r", " ") + "\n")
		}
		name := place + ".env"
		if place == placeHistory {
			name = place + ".sh"
		}
		findings, err := l.Look(name, []byte(text.String()))
		if err != nil {
			run.Scan.Skipped = append(run.Scan.Skipped, diag.Place{File: place, Why: err.Error()})
		}
		for _, f := range findings {
			f.Title = strings.ReplaceAll(f.Title, name, "the image's "+strings.TrimPrefix(place, "(image)/"))
			for _, key := range []string{finding.FieldFile, finding.FieldPlaces} {
				if value, ok := f.ProductFields[key]; ok {
					f.ProductFields[key] = strings.ReplaceAll(value, name, place)
				}
			}
			if place == placeHistory {
				if i := f.Place().Line - 1; i >= 0 && i < len(img.Config.History) && img.Config.History[i].Layer >= 0 {
					mark(&f, img.layer(img.Config.History[i].Layer))
				}
			}
			f.Remediation = &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Everybody who has the image can read this. Take it for known and make a new one; hand it to the container when it starts, and to the build as a secret (RUN --mount=type=secret)."}}
			run.Findings = append(run.Findings, f)
		}
	}
}
