package finding_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// Members that nobody knows come out as they went in, at every level.
func TestUnknownMembersSurvive(t *testing.T) {
	in := `{"Id":"a","ProductArn":"p","GeneratorId":"g","AwsAccountId":"000000000000","CreatedAt":"c","UpdatedAt":"u",` +
		`"Severity":{"Label":"HIGH","New":1.50},"Title":"t","Description":"d",` +
		`"Resources":[{"Type":"AwsS3Bucket","Id":"r","Details":{"AwsS3Bucket":{"N":1e2,"é":"é"}},"Odd":[ ]}],` +
		`"Types":[],"Action":{"ActionType":"X","Big":12345678901234567890},"Zukunft":{"a":[1.0,null]}}`
	f, err := finding.Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	out := f.JSON()
	for _, want := range []string{`"New":1.50`, `{"AwsS3Bucket":{"N":1e2,"é":"é"}}`, `"Odd":[`, `12345678901234567890`, `"Zukunft":{"a":[1.0,null]}`, `"Types":[]`} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s is not in %s", want, out)
		}
	}
	again, err := finding.Parse(out)
	if err != nil || !bytes.Equal(again.JSON(), out) {
		t.Errorf("second pass: %v\n got %s\nwant %s", err, again.JSON(), out)
	}
}

func TestSeverity(t *testing.T) {
	for n, want := range map[int]finding.Label{0: "INFORMATIONAL", 1: "LOW", 39: "LOW", 40: "MEDIUM", 69: "MEDIUM", 70: "HIGH", 89: "HIGH", 90: "CRITICAL", 100: "CRITICAL"} {
		if got := finding.LabelOf(n); got != want {
			t.Errorf("LabelOf(%d) = %s, want %s", n, got, want)
		}
	}
	for _, l := range finding.Labels {
		if got := finding.LabelOf(l.Normalized()); got != l {
			t.Errorf("%s becomes %d becomes %s", l, l.Normalized(), got)
		}
	}
	n := 75
	f := finding.Finding{Provider: &finding.ProviderFields{Severity: &finding.Severity{Label: finding.Low}}}
	if f.Label() != finding.Low {
		t.Errorf("provider's label: %s", f.Label())
	}
	f.Severity = &finding.Severity{Normalized: &n}
	if f.Label() != finding.High {
		t.Errorf("customer's number: %s", f.Label())
	}
}

// The Id of our own findings holds tool, target and fingerprint, never branch or time.
func TestOwnIdentity(t *testing.T) {
	m := finding.Maker{Account: "111122223333", Region: "eu-west-1"}
	raw := finding.Finding{GeneratorID: "secret/aws", Title: "key", Severity: &finding.Severity{Label: finding.Critical}, ProductFields: finding.At(diag.Place{File: "a.env", Line: 3})}
	one := m.Own(finding.Scan{Tool: "secret", Target: "shop", Branch: "main", Commit: "c0"}, raw, time.Unix(0, 0))
	two := m.Own(finding.Scan{Tool: "secret", Target: "shop", Branch: "dev", Commit: "c1"}, raw, time.Unix(9, 0))
	if one.ID != two.ID {
		t.Errorf("%s and %s differ", one.ID, two.ID)
	}
	if other := m.Own(finding.Scan{Tool: "secret", Target: "blog"}, raw, time.Unix(0, 0)); other.ID == one.ID {
		t.Errorf("another target has the same id %s", other.ID)
	}
	if raw.ProductFields[finding.FieldTool] != "" {
		t.Error("the scanner's own map was changed")
	}
	want := finding.Resource{Type: "Other", ID: "shop/a.env", Partition: "aws", Region: "eu-west-1"}
	if diff := cmp.Diff([]finding.Resource{want}, one.Resources); diff != "" {
		t.Error(diff)
	}
	if one.ProductARN != "arn:aws:securityhub:eu-west-1:111122223333:product/111122223333/default" || one.CreatedAt != "1970-01-01T00:00:00.000Z" {
		t.Errorf("product %s, created %s", one.ProductARN, one.CreatedAt)
	}
	if got := one.Where(); got != "a.env:3" {
		t.Errorf("where: %s", got)
	}
}

// What parses can be written, and parses again to the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Id":"a","Severity":{"Label":"HIGH","x":[]},"Resources":[{"Type":"t","Id":"i","Details":{}}],"Odd":null}`))
	f.Add([]byte(`{"Id":"a","Id":"b"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		one, err := finding.Parse(text)
		if err != nil {
			return
		}
		out := one.JSON()
		if !jsontext.Value(out).IsValid() {
			t.Fatalf("%q is not JSON", out)
		}
		two, err := finding.Parse(out)
		if err != nil || !bytes.Equal(two.JSON(), out) {
			t.Fatalf("second pass: %v\n%s\n%s", err, out, two.JSON())
		}
	})
}

// A text is cut between characters, and no longer than allowed.
func TestShorten(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{{"short", 5, "short"}, {"longer", 5, "lo…"}, {"한글한글", 8, "한…"}, {"\xff", 9, "\uFFFD"}, {"abc", 1, "…"}} {
		if got := finding.Shorten(c.text, c.most); got != c.want {
			t.Errorf("Shorten(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

// Types are spelt as ASFF spells them.
func TestResourceType(t *testing.T) {
	for name, want := range map[string]string{
		"AWS::EC2::SecurityGroup": "AwsEc2SecurityGroup", "AWS::RDS::DBInstance": "AwsRdsDbInstance", "AWS::S3::Bucket": "AwsS3Bucket",
		"Kubernetes::Pod": "Other", "AWS::S3": "Other", "": "Other",
	} {
		if got := finding.ResourceType(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
