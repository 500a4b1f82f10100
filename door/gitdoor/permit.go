package gitdoor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// The options of a push that take a finding for what it is not, and say why.
const (
	optionAllow  = "haechi.allow"
	optionReason = "reason"
)

// OverrideAction is what a caller must be allowed to do for these options.
const OverrideAction = "haechi:OverridePushProtection"

// OverrideRule is the rule of the findings that an override leaves.
const OverrideRule = "push-protection/override"

// Fields of such a finding, beside those that all of ours have.
const (
	FieldOwner   = "haechi/owner"   // who overrode
	FieldReason  = "haechi/reason"  // and why
	FieldExpires = "haechi/expires" // when somebody should look again, RFC 3339
	FieldAllowed = "haechi/allowed" // Id of the finding that was let in
)

// refusal is an error whose text is for the person who pushed, as it is.
type refusal struct{ text string }

func (r *refusal) Error() string { return "refused" }

// permit lets a push with secrets in only if every one of them is named by
// somebody who may, with a reason; then it leaves a finding for each.
func (t *talk) permit(ctx context.Context, q question, secrets []found, say func(string) error) error {
	if len(secrets) == 0 {
		return nil
	}
	allowed, reason := options(q.options)
	var left, let []found
	for _, s := range secrets {
		if slices.ContainsFunc(allowed, s.named) {
			let = append(let, s)
		} else {
			left = append(left, s)
		}
	}
	if len(left) > 0 {
		return &refusal{t.refusal(left)}
	}
	if reason == "" {
		return fault.Invalid.Errorf("an override needs a reason: git push -o %s=… -o %s='why this is no secret'", optionAllow, optionReason)
	}
	if err := t.door.config.Access.Allow(ctx, t.call.caller, OverrideAction, t.door.config.Source.ARN(t.call.repository), ""); err != nil {
		return fault.Denied.Errorf("you may not override push protection (%s): %w", OverrideAction, err)
	}
	now := t.door.config.Now()
	scan := finding.Scan{ID: t.id, Tool: "push-protection", Target: t.call.repository}
	var overrides []finding.Finding
	for _, s := range let {
		overrides = append(overrides, t.override(scan, s, reason, now))
	}
	if err := t.door.config.Keep(ctx, scan, overrides...); err != nil {
		return fmt.Errorf("keeping the findings of an override: %w", err)
	}
	return say(fmt.Sprintf("Haechi lets %d finding(s) in, because %s said: %s\nThey are kept as findings until %s.\n",
		len(let), t.call.caller.ARN, printable(reason), now.Add(t.door.config.Override).Format(time.DateOnly)))
}

// options are the findings that a push names, and the reason it gives.
func options(all []string) (allowed []string, reason string) {
	for _, o := range all {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case optionAllow:
			for name := range strings.SplitSeq(value, ",") {
				allowed = append(allowed, strings.TrimSpace(name))
			}
		case optionReason:
			reason = strings.TrimSpace(value)
		}
	}
	return allowed, clip(reason, 1000)
}

// named tells whether a name, as it was shown or longer, means this finding.
func (f found) named(name string) bool {
	fingerprint := f.ProductFields[finding.FieldFingerprint]
	return name == f.ID || len(name) >= shown && strings.HasPrefix(fingerprint, name)
}

// shown is how many digits of a fingerprint people see.
const shown = 12

func (f found) name() string {
	return clipped(f.ProductFields[finding.FieldFingerprint], shown)
}

func clipped(s string, most int) string { return s[:min(len(s), most)] }

// override is the finding that is left when a secret is let in.
func (t *talk) override(scan finding.Scan, s found, reason string, now time.Time) finding.Finding {
	expires := now.Add(t.door.config.Override).UTC().Format(time.RFC3339)
	fields := maps.Clone(s.ProductFields)
	maps.Copy(fields, map[string]string{
		finding.FieldFingerprint: finding.Fingerprint(OverrideRule, s.ProductFields[finding.FieldFingerprint]),
		finding.FieldCommit:      s.object.Commit,
		FieldOwner:               t.call.caller.ARN, FieldReason: reason, FieldExpires: expires, FieldAllowed: s.ID,
	})
	scan.Commit = s.object.Commit
	return t.door.config.Maker.Own(scan, finding.Finding{
		GeneratorID:   OverrideRule,
		Title:         clip("Push protection was overridden: "+s.Title, 250),
		Description:   clip(fmt.Sprintf("%s let %s into %s: %s. Until %s somebody has to look at it again.", t.call.caller.ARN, s.where(), t.call.repository, reason, expires), 1000),
		Severity:      &finding.Severity{Label: s.Label()},
		Types:         []string{"Software and Configuration Checks/Secrets/Push Protection Override"},
		ProductFields: fields,
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{
			Text: "If it is a secret after all, revoke it where it was issued and take it out of the history; if not, suppress this finding with a reason.",
		}},
	}, now)
}

// where is the file and line, or the message, in which a secret is.
func (f found) where() string {
	if f.object.Type != "blob" {
		return "the message of " + f.object.Type + " " + clipped(f.object.ID, 10)
	}
	place := f.Place()
	place.Column = 0
	if f.object.Path == "" {
		place.File = "an object without a name (" + clipped(f.object.ID, 10) + ")"
	}
	return printable(place.String())
}

// commit is which commit brings it.
func (f found) commit() string {
	if f.object.Type == "commit" {
		return f.object.ID
	}
	return f.object.Commit
}

// refusal says what is wrong, where, and how to mend it.
func (t *talk) refusal(secrets []found) string {
	const most = 10
	var b strings.Builder
	fmt.Fprintf(&b, "\nHaechi refuses this push: it brings %s.\n", plural(len(secrets), "secret"))
	for i, s := range secrets {
		if i == most {
			fmt.Fprintf(&b, "\n  … and %d more, shown when these are mended.\n", len(secrets)-most)
			break
		}
		fmt.Fprintf(&b, "\n  %s  %s (%s)\n", s.Label(), printable(s.Title), printable(s.GeneratorID))
		where := s.where()
		if s.more > 0 {
			where += fmt.Sprintf(", and in %d more", s.more)
		}
		fmt.Fprintf(&b, "    where    %s\n", where)
		if c := s.commit(); c != "" {
			fmt.Fprintf(&b, "    commit   %s\n", c)
		}
		if excerpt := s.ProductFields[finding.FieldExcerpt]; excerpt != "" {
			fmt.Fprintf(&b, "    excerpt  %s\n", clip(printable(excerpt), 100))
		}
		if text := advice(s.Finding); text != "" {
			fmt.Fprintf(&b, "    mend     %s\n", wrap(printable(text), 66, "\n             "))
		}
		fmt.Fprintf(&b, "    finding  %s\n", s.name())
	}
	since := clipped(cmp.Or(secrets[0].commit(), "COMMIT"), 10) + "~"
	if secrets[0].first {
		since = "--root"
	}
	fmt.Fprintf(&b, `
Nothing was taken. Who has seen a secret has it: revoke it first. Then take it
out of every commit of this push, a later commit that removes it is not enough:
  git rebase -i %s   (mark the commit "edit", mend it, git commit --amend)
If it is no secret, say so; the override is kept as a finding:
  git push -o %s=%s -o %s='why'

`, since, optionAllow, names(secrets[:min(len(secrets), most)]), optionReason)
	return b.String()
}

// names are how an override names findings.
func names(secrets []found) string {
	var list []string
	for _, s := range secrets {
		list = append(list, s.name())
	}
	return strings.Join(list, ",")
}

// wrap breaks text between words into lines of a width.
func wrap(text string, width int, newline string) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
		case column+1+n > width:
			b.WriteString(newline)
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

func advice(f finding.Finding) string {
	if f.Remediation == nil || f.Remediation.Recommendation == nil {
		return ""
	}
	return clip(f.Remediation.Recommendation.Text, 512)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// printable keeps what a terminal would act on, and lines that look like ours, out of what others wrote.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
