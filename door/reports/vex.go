package reports

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Suppressing is what VEX needs of the hub.
type Suppressing interface {
	Suppressors(ctx context.Context) ([]hub.Suppressor, error)
	AddSuppressors(ctx context.Context, target string, list []hub.Suppressor) (n int, err error)
	RemoveSuppressor(ctx context.Context, id, by string) error
}

// applyVEX makes what a VEX document says count for what other tools find in the target: what is not affected or
// fixed is suppressed, with the document's reason, for as long as the latest document of this tool says so. The
// hub leaves alone what people decided.
func (d *Door) applyVEX(ctx context.Context, s finding.Scan, r *report.Report, said *Answer) error {
	if len(r.VEX) == 0 && !slices.Contains([]string{"openvex", "csaf", "cyclonedx-json", "cyclonedx-xml"}, r.Format) {
		return nil
	}
	wanted := map[string]hub.Suppressor{}
	mark := vexMark(s)
	for _, v := range r.VEX {
		if v.Status != report.NotAffected && v.Status != report.Fixed {
			continue
		}
		one, err := suppressorOf(s, v, mark)
		if err != nil {
			return err
		}
		wanted[one.Name+one.Pattern+one.Reason] = one
	}
	known, err := d.Hub.Suppressors(ctx)
	if err != nil {
		return err
	}
	for _, k := range known {
		if !strings.HasSuffix(k.Name, mark) {
			continue
		}
		key := k.Name + k.Pattern + k.Reason
		if _, still := wanted[key]; still {
			delete(wanted, key)
			continue
		}
		if err := d.Hub.RemoveSuppressor(ctx, k.ID, s.Tool); err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
	}
	var list []hub.Suppressor
	for _, one := range wanted {
		list = append(list, one)
	}
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b hub.Suppressor) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Pattern, b.Pattern))
	})
	said.VEX, err = d.Hub.AddSuppressors(ctx, s.Target, list)
	return err
}

// vexMark tells the suppressors of one document's line from others: those of a tool, a target and a branch.
func vexMark(s finding.Scan) string {
	return " [VEX " + finding.Fingerprint(s.Tool, s.Target, s.Branch)[:12] + "]"
}

func suppressorOf(s finding.Scan, v report.Statement, mark string) (hub.Suppressor, error) {
	names := slices.Clone(v.Names)
	fields := map[string]any{finding.FieldTarget: []string{s.Target}, finding.FieldTool: []any{map[string]any{"anything-but": []string{s.Tool}}}}
	if len(v.Packages) > 0 {
		fields[finding.FieldPackage] = v.Packages
	}
	if v.Version != "" && len(v.Packages) > 0 {
		fields[finding.FieldInstalled] = []string{v.Version, "v" + v.Version}
	}
	pattern, err := json.Marshal(map[string]any{
		"ProductFields": fields,
		"$or":           []map[string]any{{"Vulnerabilities": map[string]any{"Id": names}}, {"Vulnerabilities": map[string]any{"RelatedVulnerabilities": names}}},
	}, json.Deterministic(true))
	if err != nil {
		return hub.Suppressor{}, fault.Invalid.Errorf("a VEX statement is no text: %w", err)
	}
	where := ""
	if len(v.Packages) > 0 {
		where = " in " + v.Packages[0]
	}
	author := cmp.Or(v.Author, s.Tool)
	return hub.Suppressor{
		Name: finding.Shorten(v.Names[0]+where+" of "+s.Target, 200) + mark, Pattern: string(pattern),
		Acceptance: hub.Acceptance{Kind: "false-positive", Reason: finding.Shorten(fmt.Sprintf("VEX: %s%s", v.Status, prefixed(": ", v.Why)), 2000), Owner: author, By: s.Tool},
	}, nil
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
