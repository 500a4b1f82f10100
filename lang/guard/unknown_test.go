package guard

import (
	"strings"
	"testing"
	"time"
)

// template of a bucket whose properties are made.
func made(properties ...Member) *Document {
	bucket := NewMap(Member{NewText("Type"), NewText("AWS::S3::Bucket")}, Member{NewText("Properties"), NewMap(properties...)})
	return Made(NewMap(Member{NewText("Resources"), NewMap(Member{NewText("Logs"), bucket})}), "t.yaml")
}

// A clause on an unknown value is unknown, unless what is known of the value decides it.
func TestUnknown(t *testing.T) {
	parameter := Unknown{Why: "parameter Name has no default", Present: true}
	reference := Unknown{Why: "it is given when Key is made", Present: true, Plain: true, As: NewMap(Member{NewText("Ref"), NewText("Key")})}
	within := Unknown{Why: "parameter Name has no default", Present: true, Parts: []string{"arn:aws:s3:::", "/*"}}
	absent := Unknown{Why: "condition Prod is unknown"}
	for _, c := range []struct {
		unknown Unknown
		clause  string
		want    Status
	}{
		{parameter, `Name == 'x'`, Unsure},
		{parameter, `Name != 'x'`, Unsure},
		{parameter, `Name exists`, Pass},
		{parameter, `Name not exists`, Fail},
		{parameter, `Name not empty`, Unsure},
		{parameter, `Name == 'x' or Name exists`, Pass},
		{parameter, `Name == 'x' or Name not exists`, Unsure},
		{parameter, `Name in ['x', 'y']`, Unsure},
		{parameter, `Name > 3`, Unsure},
		{parameter, `Name.Below == 1`, Unsure},
		{parameter, `Name[*] == 1`, Unsure},
		{parameter, `when Name == 'x' { Other exists }`, Unsure},
		{parameter, `when Name == 'x' { Other not exists }`, Pass},
		{parameter, "Name == 'x'\n Other exists", Fail},
		{parameter, `let n = parse_int(Name) %n > 3`, Unsure},
		{parameter, `Name == Name`, Pass},
		{reference, `Name == '*'`, Fail},
		{reference, `Name != '0.0.0.0/0'`, Pass},
		{reference, `Name == 'arn:aws:kms:x'`, Unsure},
		{reference, `Name == /\*/`, Fail},
		{reference, `Name == /^arn:/`, Unsure},
		{reference, `Name not empty`, Pass},
		{reference, `Name is_string`, Pass},
		{reference, `Name.Ref == 'Key'`, Pass},
		{reference, `Name == true`, Fail},
		{within, `Name == '*'`, Fail},
		{within, `Name == 'arn:aws:s3:::logs/*'`, Unsure},
		{within, `Name == /^arn:aws:s3/`, Pass},
		{absent, `Name exists`, Unsure},
		{absent, `Name == 1`, Unsure},
	} {
		r, err := Parse("r.guard", []byte("rule R { Resources.*[ Type == 'AWS::S3::Bucket' ].Properties {\n"+c.clause+"\n} }"))
		if err != nil {
			t.Fatal(c.clause, err)
		}
		v := r.Check(made(Member{NewText("Name"), NewUnknown(c.unknown)}), time.Time{}).Rules[0]
		if v.Status != c.want {
			t.Errorf("%s: %v, want %v (%v)", c.clause, v.Status, c.want, v.Failures)
		}
		if v.Status == Unsure && (len(v.Failures) == 0 || !strings.Contains(v.Failures[0].Why, c.unknown.Why)) {
			t.Errorf("%s: it does not say why it is unknown: %+v", c.clause, v.Failures)
		}
	}
}

// What is there only perhaps breaks nothing for certain.
func TestPerhaps(t *testing.T) {
	for _, c := range []struct {
		rule string
		want Status
	}{
		{`rule R { Resources.*[ Type == 'AWS::S3::Bucket' ].Properties.Name == 'x' }`, Unsure},
		{`rule R { Resources.*[ Type == 'AWS::S3::Bucket' ].Properties.Name == 'y' }`, Pass},
		{`rule R { AWS::S3::Bucket { Properties.Name == 'x' } }`, Unsure},
		{`let b = Resources.*[ Type == 'AWS::S3::Bucket' ]
		  rule R when %b !empty { %b.Properties.Name == 'x' }`, Unsure},
		{`rule R { some Resources.*.Properties.Name == 'x' }`, Fail},
		{`rule R { some Resources.*.Properties.Name == 'y' }`, Unsure},
		{`rule R { Resources.*[ Properties.Name == 'y' ] !empty }`, Unsure},
		{`rule A { Resources.Logs.Properties.Name == 'x' }
		  rule R { A }`, Unsure},
		{`rule A { Resources.Logs.Properties.Name == 'x' }
		  rule R { not A }`, Unsure},
		{`let n = count(Resources.*)
		  rule R { %n == 1 }`, Unsure},
	} {
		doc := made(Member{NewText("Name"), NewText("y")})
		doc.root.get("Resources").get("Logs").Perhaps("condition Prod is unknown")
		r, err := Parse("r.guard", []byte(c.rule))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Check(doc, time.Time{}).Rules {
			if v.Rule == "R" && v.Status != c.want {
				t.Errorf("%s: %v, want %v (%v)", c.rule, v.Status, c.want, v.Failures)
			}
		}
	}
}
