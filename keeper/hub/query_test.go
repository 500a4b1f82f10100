package hub_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// rich is a finding that says something of every attribute.
const rich = `{"SchemaVersion":"2018-10-08","Id":"rich","ProductArn":"` + product + `","ProductName":"Scanner","CompanyName":"Us","GeneratorId":"gen/1","AwsAccountId":"111122223333",
"Types":["TTPs/Discovery","Effects/Data Exposure"],"FirstObservedAt":"2026-01-01T00:00:00Z","LastObservedAt":"2026-02-01T00:00:00Z","CreatedAt":"2026-01-01T00:00:00Z","UpdatedAt":"2026-02-20T00:00:00Z",
"Severity":{"Label":"HIGH","Product":7.5,"Normalized":75},"Confidence":42,"Criticality":99,"Title":"A rich finding","Description":"It says all","SourceUrl":"https://example.com/x","Sample":true,
"Remediation":{"Recommendation":{"Text":"mend it"}},"ProductFields":{"k":"value one"},"UserDefinedFields":{"u":"two"},
"Malware":[{"Name":"worm","Type":"WORM","Path":"/tmp/w","State":"OBSERVED"}],
"Network":{"Direction":"IN","Protocol":"TCP","SourceIpV4":"10.1.2.3","SourceIpV6":"2001:db8::1","SourcePort":4242,"SourceDomain":"evil.example","SourceMac":"00:11","DestinationIpV4":"192.0.2.7","DestinationIpV6":"2001:db8::2","DestinationPort":22,"DestinationDomain":"good.example"},
"Process":{"Name":"sh","Path":"/bin/sh","Pid":77,"ParentPid":1,"LaunchedAt":"2026-01-03T00:00:00Z","TerminatedAt":"2026-01-04T00:00:00Z"},
"ThreatIntelIndicators":[{"Type":"DOMAIN","Value":"evil.example","Category":"BACKDOOR","LastObservedAt":"2026-01-05T00:00:00Z","Source":"feed","SourceUrl":"https://feed.example"}],
"Resources":[{"Type":"AwsEc2Instance","Id":"arn:aws:ec2:us-east-1:111122223333:instance/i-1","Partition":"aws","Region":"us-east-1","Tags":{"env":"prod"},"ApplicationName":"shop","ApplicationArn":"arn:app",
"Details":{"AwsEc2Instance":{"Type":"t3.micro","ImageId":"ami-1","IpV4Addresses":["10.0.0.5","198.51.100.9"],"IpV6Addresses":["2001:db8::5"],"KeyName":"key","IamInstanceProfileArn":"arn:profile","VpcId":"vpc-1","SubnetId":"subnet-1","LaunchedAt":"2026-01-06T00:00:00Z"},"Other":{"x":"y"}}},
{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::b","Details":{"AwsS3Bucket":{"OwnerId":"oid","OwnerName":"oname"},"AwsIamAccessKey":{"UserName":"un","PrincipalName":"pn","Status":"Active","CreatedAt":"2026-01-07T00:00:00Z"},"AwsIamUser":{"UserName":"alice"},"Container":{"Name":"c","ImageId":"sha256:1","ImageName":"img","LaunchedAt":"2026-01-08T00:00:00Z"}}}],
"Compliance":{"Status":"WARNING","SecurityControlId":"S3.9","AssociatedStandards":[{"StandardsId":"standards/k"}],"SecurityControlParameters":[{"Name":"days","Value":["7","9"]}]},
"VerificationState":"TRUE_POSITIVE","Workflow":{"Status":"NOTIFIED"},"RecordState":"ACTIVE","RelatedFindings":[{"ProductArn":"rp","Id":"ri"}],"Note":{"Text":"a note","UpdatedBy":"bob","UpdatedAt":"2026-01-09T00:00:00Z"},
"Vulnerabilities":[{"Id":"CVE-1","ExploitAvailable":"YES","FixAvailable":"PARTIAL"}],
"FindingProviderFields":{"Confidence":42,"Criticality":99,"RelatedFindings":[{"ProductArn":"fp","Id":"fi"}],"Severity":{"Label":"HIGH","Original":"eight"},"Types":["TTPs/Discovery"]}}`

// wants are, for every attribute, a condition that holds for rich and one that does not.
var wants = map[string][2]string{
	"ProductArn": {`{"Value":"arn:aws:securityhub:us-east-1:1111","Comparison":"PREFIX"}`, `{"Value":"x","Comparison":"EQUALS"}`}, "AwsAccountId": text("111122223333"), "Id": text("rich"), "GeneratorId": text("gen/1"), "Region": text("us-east-1"),
	"Type": text("Effects/Data Exposure"), "SeverityLabel": text("HIGH"), "Title": text("A rich finding"), "Description": text("It says all"), "RecommendationText": text("mend it"), "SourceUrl": text("https://example.com/x"),
	"ProductName": text("Scanner"), "CompanyName": text("Us"), "MalwareName": text("worm"), "MalwareType": text("WORM"), "MalwarePath": text("/tmp/w"), "MalwareState": text("OBSERVED"),
	"NetworkDirection": text("IN"), "NetworkProtocol": text("TCP"), "NetworkSourceDomain": text("evil.example"), "NetworkSourceMac": text("00:11"), "NetworkDestinationDomain": text("good.example"),
	"ProcessName": text("sh"), "ProcessPath": text("/bin/sh"), "ThreatIntelIndicatorType": text("DOMAIN"), "ThreatIntelIndicatorValue": text("evil.example"), "ThreatIntelIndicatorCategory": text("BACKDOOR"),
	"ThreatIntelIndicatorSource": text("feed"), "ThreatIntelIndicatorSourceUrl": text("https://feed.example"), "ResourceType": text("AwsS3Bucket"), "ResourceId": text("arn:aws:s3:::b"), "ResourcePartition": text("aws"), "ResourceRegion": text("us-east-1"),
	"ResourceAwsEc2InstanceType": text("t3.micro"), "ResourceAwsEc2InstanceImageId": text("ami-1"), "ResourceAwsEc2InstanceKeyName": text("key"), "ResourceAwsEc2InstanceIamInstanceProfileArn": text("arn:profile"),
	"ResourceAwsEc2InstanceVpcId": text("vpc-1"), "ResourceAwsEc2InstanceSubnetId": text("subnet-1"), "ResourceAwsS3BucketOwnerId": text("oid"), "ResourceAwsS3BucketOwnerName": text("oname"),
	"ResourceAwsIamAccessKeyUserName": text("un"), "ResourceAwsIamAccessKeyPrincipalName": text("pn"), "ResourceAwsIamAccessKeyStatus": text("Active"), "ResourceAwsIamUserUserName": text("alice"),
	"ResourceContainerName": text("c"), "ResourceContainerImageId": text("sha256:1"), "ResourceContainerImageName": text("img"), "ComplianceStatus": text("WARNING"), "VerificationState": text("TRUE_POSITIVE"),
	"WorkflowState": text("NEW"), "WorkflowStatus": text("NOTIFIED"), "RecordState": text("ACTIVE"), "RelatedFindingsProductArn": text("rp"), "RelatedFindingsId": text("ri"), "NoteText": text("a note"), "NoteUpdatedBy": text("bob"),
	"FindingProviderFieldsRelatedFindingsId": text("fi"), "FindingProviderFieldsRelatedFindingsProductArn": text("fp"), "FindingProviderFieldsSeverityLabel": text("HIGH"), "FindingProviderFieldsSeverityOriginal": text("eight"),
	"FindingProviderFieldsTypes": text("TTPs/Discovery"), "ComplianceSecurityControlId": text("S3.9"), "ComplianceAssociatedStandardsId": text("standards/k"), "VulnerabilitiesExploitAvailable": text("YES"), "VulnerabilitiesFixAvailable": text("PARTIAL"),
	"ComplianceSecurityControlParametersName": text("days"), "ComplianceSecurityControlParametersValue": text("9"), "AwsAccountName": text("main"), "ResourceApplicationName": text("shop"), "ResourceApplicationArn": text("arn:app"),

	"FirstObservedAt": date("2026-01-01"), "LastObservedAt": date("2026-02-01"), "CreatedAt": date("2026-01-01"), "UpdatedAt": {`{"DateRange":{"Value":10,"Unit":"DAYS"}}`, `{"DateRange":{"Value":10,"Unit":"DAYS","Comparison":"OLDER_THAN"}}`},
	"ProcessLaunchedAt": date("2026-01-03"), "ProcessTerminatedAt": date("2026-01-04"), "ThreatIntelIndicatorLastObservedAt": date("2026-01-05"), "ResourceAwsEc2InstanceLaunchedAt": date("2026-01-06"),
	"ResourceAwsIamAccessKeyCreatedAt": date("2026-01-07"), "ResourceContainerLaunchedAt": date("2026-01-08"), "NoteUpdatedAt": date("2026-01-09"),

	"SeverityProduct": {`{"Gte":7.5,"Lt":8}`, `{"Gt":7.5}`}, "SeverityNormalized": {`{"Eq":75}`, `{"Lt":75}`}, "Confidence": {`{"Gt":41,"Lte":42}`, `{"Eq":41}`}, "Criticality": {`{"Gte":99}`, `{"Gt":99}`},
	"NetworkSourcePort": {`{"Eq":4242}`, `{"Lte":1023}`}, "NetworkDestinationPort": {`{"Eq":22}`, `{"Gt":22}`}, "ProcessPid": {`{"Eq":77}`, `{"Eq":78}`}, "ProcessParentPid": {`{"Lte":1}`, `{"Lt":1}`},
	"FindingProviderFieldsConfidence": {`{"Eq":42}`, `{"Eq":1}`}, "FindingProviderFieldsCriticality": {`{"Eq":99}`, `{"Eq":1}`},

	"NetworkSourceIpV4": {`{"Cidr":"10.1.0.0/16"}`, `{"Cidr":"10.2.0.0/16"}`}, "NetworkSourceIpV6": {`{"Cidr":"2001:db8::/64"}`, `{"Cidr":"2001:db9::/64"}`}, "NetworkDestinationIpV4": {`{"Cidr":"192.0.2.7/32"}`, `{"Cidr":"192.0.2.8/32"}`},
	"NetworkDestinationIpV6": {`{"Cidr":"2001:db8::2/128"}`, `{"Cidr":"::/128"}`}, "ResourceAwsEc2InstanceIpV4Addresses": {`{"Cidr":"198.51.100.0/24"}`, `{"Cidr":"203.0.113.0/24"}`}, "ResourceAwsEc2InstanceIpV6Addresses": {`{"Cidr":"2001:db8::5"}`, `{"Cidr":"2001:db8::6"}`},

	"ProductFields": {`{"Key":"k","Value":"value one","Comparison":"EQUALS"}`, `{"Key":"k","Value":"value","Comparison":"EQUALS"}`}, "UserDefinedFields": {`{"Key":"u","Value":"w","Comparison":"CONTAINS"}`, `{"Key":"u","Value":"two","Comparison":"NOT_EQUALS"}`},
	"ResourceTags": {`{"Key":"env","Value":"prod","Comparison":"EQUALS"}`, `{"Key":"env","Value":"ro","Comparison":"NOT_CONTAINS"}`}, "ResourceDetailsOther": {`{"Key":"x","Value":"z","Comparison":"NOT_EQUALS"}`, `{"Key":"x","Value":"z","Comparison":"EQUALS"}`},
	"Keyword": {`{"Value":"BACKDOOR"}`, `{"Value":"frontdoor"}`}, "Sample": {`{"Value":true}`, `{"Value":false}`},
}

func text(v string) [2]string {
	return [2]string{`{"Value":"` + v + `","Comparison":"EQUALS"}`, `{"Value":"` + v + `","Comparison":"NOT_EQUALS"}`}
}

func date(day string) [2]string {
	return [2]string{`{"Start":"` + day + `T00:00:00Z","End":"` + day + `T00:00:00Z"}`, `{"Start":"` + day + `T00:00:00.001Z"}`}
}

// Each of the 104 attributes finds the finding that has it, and not when it asks for something else.
func TestEveryAttribute(t *testing.T) {
	if len(wants) != 104 {
		t.Fatalf("the test knows %d attributes, want 104", len(wants))
	}
	each(t, func(t *testing.T, h *house) {
		named, err := hub.New(t.Context(), hub.Config{DB: h.db, Bus: h.bus, Now: h.time, Account: account, AccountNames: map[string]string{account: "main"}})
		h.check(err)
		f, err := finding.Parse([]byte(rich))
		h.check(err)
		did, err := named.Import(t.Context(), finding.Scan{}, f)
		h.check(err)
		if did.New != 1 {
			t.Fatalf("%+v", did)
		}
		f.UpdatedAt = "2026-02-21T00:00:00Z" // a known finding keeps both homes of what has two
		_, err = named.Import(t.Context(), finding.Scan{}, f)
		h.check(err)
		for name, conditions := range wants {
			for i, condition := range conditions {
				filters, err := hub.ParseFilters([]byte(`{"` + name + `":[` + condition + `]}`))
				if err != nil {
					t.Errorf("%s %s: %v", name, condition, err)
					continue
				}
				page, err := named.Find(t.Context(), hub.Query{Filters: filters})
				h.check(err)
				if got := len(page.Findings); got != 1-i {
					t.Errorf("%s %s finds %d", name, condition, got)
				}
				if n, err := named.Count(t.Context(), filters); err != nil || n != 1-i {
					t.Errorf("%s %s counts %d, %v", name, condition, n, err)
				}
			}
		}
	})
}

// The combination rules of hub.md, over five resources.
func TestCombining(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, id := range []string{"app-1", "app-2", "db-1", "db-2", "web"} {
			h.importing(simple(id, func(f *finding.Finding) { f.Title = id }))
		}
		h.importing(simple("two", func(f *finding.Finding) {
			f.Title = "none"
			f.Resources = []finding.Resource{{Type: "A", ID: "x"}, {Type: "B", ID: "y"}}
		}))
		for _, c := range []struct{ filters, want string }{
			{`{"Title":[{"Value":"app-1","Comparison":"EQUALS"},{"Value":"web","Comparison":"EQUALS"}]}`, "app-1 web"},
			{`{"Title":[{"Value":"app","Comparison":"PREFIX"},{"Value":"web","Comparison":"EQUALS"}]}`, "app-1 app-2 web"},
			{`{"Title":[{"Value":"app","Comparison":"PREFIX"},{"Value":"db","Comparison":"PREFIX"},{"Value":"app-2","Comparison":"NOT_EQUALS"}]}`, "app-1 db-1 db-2"},
			{`{"Title":[{"Value":"app-1","Comparison":"NOT_EQUALS"},{"Value":"db","Comparison":"PREFIX_NOT_EQUALS"}]}`, "app-2 two web"},
			{`{"Title":[{"Value":"APP","Comparison":"PREFIX"}]}`, ""},
			{`{"Title":[{"Value":"app","Comparison":"PREFIX"}],"Id":[{"Value":"app-2","Comparison":"EQUALS"}]}`, "app-2"},
			{`{"ResourceType":[{"Value":"A","Comparison":"EQUALS"}]}`, "two"},
			{`{"ResourceType":[{"Value":"A","Comparison":"EQUALS"}],"ResourceId":[{"Value":"y","Comparison":"EQUALS"}]}`, "two"},
			{`{"ResourceType":[{"Value":"B","Comparison":"NOT_EQUALS"}]}`, "app-1 app-2 db-1 db-2 web"},
			{`{"NoteText":[{"Value":"x","Comparison":"NOT_EQUALS"}],"ResourceId":[{"Value":"arn:aws:s3:::app","Comparison":"PREFIX"}]}`, "app-1 app-2"},
			{`{"Confidence":[{"Lt":50}]}`, ""},
			{`{"Title":[]}`, "app-1 app-2 db-1 db-2 two web"},
		} {
			f, err := hub.ParseFilters([]byte(c.filters))
			h.check(err)
			ids := h.ids(hub.Query{Filters: f})
			slices.Sort(ids)
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("%s: %q, want %q", c.filters, got, c.want)
			}
		}
	})
}

// What AWS refuses, and what nobody could answer, is refused with what is wrong.
func TestRefusedFilters(t *testing.T) {
	for filters, want := range map[string]string{
		`{"Title":[{"Value":"a","Comparison":"EQUALS"},{"Value":"b","Comparison":"NOT_EQUALS"}]}`:        "EQUALS cannot stand with",
		`{"Title":[{"Value":"a","Comparison":"EQUALS"},{"Value":"b","Comparison":"PREFIX_NOT_EQUALS"}]}`: "EQUALS cannot stand with",
		`{"Title":[{"Value":"a","Comparison":"CONTAINS"}]}`:                                              "automation rules only",
		`{"Title":[{"Value":"a","Comparison":"CONTAINS_WORD"}]}`:                                         "no comparison",
		`{"Title":[{"Value":" ","Comparison":"EQUALS"}]}`:                                                "must be a text",
		`{"Title":[{"Value":7,"Comparison":"EQUALS"}]}`:                                                  "must be a text",
		`{"Title":[{"Value":"a","Comparison":"EQUALS","Cidr":"::/0"}]}`:                                  "not for this kind",
		`{"title":[{"Value":"a"}]}`:                                                                      "did you mean Title?",
		`{"Nonsense":[{"Value":"a"}]}`:                                                                   "no attribute",
		`{"Title":[{"Valu":"a"}]}`:                                                                       "Valu",
		`{"Title":{"Value":"a"}}`:                                                                        "Title",
		`{"UpdatedAt":[{"Start":"yesterday"}]}`:                                                          "is not a time",
		`{"UpdatedAt":[{}]}`:                                                                             "none of Start",
		`{"UpdatedAt":[{"DateRange":{"Value":1,"Unit":"WEEKS"}}]}`:                                       "unit is DAYS",
		`{"UpdatedAt":[{"DateRange":{"Value":1,"Unit":"DAYS"},"Start":"2026-01-01T00:00:00Z"}]}`:         "cannot stand with",
		`{"Confidence":[{}]}`:                                                                            "none of Gte",
		`{"NetworkSourceIpV4":[{"Cidr":"10.0.0.0/99"}]}`:                                                 "neither a CIDR block",
		`{"ResourceTags":[{"Value":"a","Comparison":"EQUALS"}]}`:                                         "no Key",
		`{"ResourceTags":[{"Key":"k","Value":"a"},{"Key":"k","Value":"b","Comparison":"NOT_EQUALS"}]}`:   "EQUALS cannot stand with",
		`{"ResourceTags":[{"Key":"k","Value":"a","Comparison":"PREFIX"}]}`:                               "no comparison",
		`{"Sample":[{"Value":"yes"}]}`:                                                                   "true or false",
		`[]`:                                                                                             "filters",
		`{"Title":[{"Value":"a"}],"Title":[{"Value":"b"}]}`:                                              "duplicate",
	} {
		_, err := hub.ParseFilters([]byte(filters))
		if !errors.Is(err, fault.Invalid) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v, want invalid and %q", filters, err, want)
		}
	}
}

// Findings come sorted by any attribute, what does not say it last, and pages make one whole.
func TestSortAndPages(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var list []finding.Finding
		labels := finding.Labels
		for i := range 57 {
			list = append(list, simple(fmt.Sprintf("f%02d", i), updated(fmt.Sprintf("2026-01-02T00:00:%02dZ", (i*37)%60)), label(labels[i%5]), func(f *finding.Finding) {
				f.Title = fmt.Sprintf("title %02d", (i*17)%57)
				if i%3 == 0 {
					f.Provider.Confidence = number(i)
				}
			}))
		}
		h.importing(list...)
		less := map[string]func(a, b finding.Finding) bool{
			"UpdatedAt":     func(a, b finding.Finding) bool { return a.UpdatedAt < b.UpdatedAt },
			"SeverityLabel": func(a, b finding.Finding) bool { return a.Label().Rank() < b.Label().Rank() },
			"Title":         func(a, b finding.Finding) bool { return a.Title < b.Title },
			"Confidence": func(a, b finding.Finding) bool {
				return a.Confidence != nil && b.Confidence != nil && *a.Confidence < *b.Confidence
			},
		}
		for field, less := range less {
			for _, order := range []string{"asc", "desc"} {
				q := hub.Query{Sort: []hub.Sort{{Field: field, SortOrder: order}}, Limit: 10}
				all := h.pages(q)
				if len(all) != 57 {
					t.Errorf("%s %s: %d findings in all, want 57", field, order, len(all))
				}
				seen := map[string]bool{}
				for i, f := range all {
					if seen[f.ID] {
						t.Errorf("%s %s: %s twice", field, order, f.ID)
					}
					seen[f.ID] = true
					if i == 0 {
						continue
					}
					a, b := all[i-1], f
					if order == "desc" {
						a, b = b, a
					}
					if less(b, a) {
						t.Errorf("%s %s: %s before %s", field, order, all[i-1].ID, f.ID)
					}
					if field == "Confidence" && all[i-1].Confidence == nil && f.Confidence != nil {
						t.Errorf("%s %s: what does not say it came first", field, order)
					}
				}
			}
		}
		two := h.pages(hub.Query{Sort: []hub.Sort{{Field: "SeverityLabel", SortOrder: "desc"}, {Field: "Title"}}, Limit: 7})
		if len(two) != 57 || two[0].Label() != finding.Critical || two[56].Label() != finding.Informational || two[0].Title > two[1].Title {
			t.Errorf("two attributes: %d, from %s to %s", len(two), two[0].Label(), two[56].Label())
		}
	})
}

func (h *house) pages(q hub.Query) (all []finding.Finding) {
	h.t.Helper()
	for {
		page, err := h.Find(h.t.Context(), q)
		h.check(err)
		all = append(all, page.Findings...)
		if q.Token = page.Token; q.Token == "" {
			return all
		}
		if len(page.Findings) != q.Limit {
			h.t.Fatalf("a page of %d that is not the last", len(page.Findings))
		}
	}
}

// While others import and update, each finding that is not touched comes exactly once.
func TestPagesWhileChanging(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(many(100)...)
		for _, sort := range [][]hub.Sort{nil, {{Field: "UpdatedAt", SortOrder: "desc"}}, {{Field: "Title"}}} {
			q, seen := hub.Query{Limit: 9, Sort: sort}, map[string]int{}
			for round := 0; ; round++ {
				page, err := h.Find(t.Context(), q)
				h.check(err)
				for _, f := range page.Findings {
					seen[f.ID]++
				}
				if q.Token = page.Token; q.Token == "" {
					break
				}
				h.pass(time.Second)
				h.importing(simple(fmt.Sprint("late", len(sort), round, rand.Int())))
				h.importing(simple("f-0050", updated(finding.Stamp(h.time()))))
			}
			for _, f := range many(100) {
				if n := seen[f.ID]; n != 1 && f.ID != "f-0050" {
					t.Errorf("sorted by %v: %s came %d times", sort, f.ID, n)
				}
			}
		}
	})
}

// A token goes with its question only, and one that was tampered with is refused.
func TestTokens(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(many(20)...)
		q := hub.Query{Limit: 5}
		page, err := h.Find(t.Context(), q)
		h.check(err)
		for name, bad := range map[string]hub.Query{
			"other filters":  {Limit: 5, Token: page.Token, Filters: hub.Filters{"SeverityLabel": hub.Is("HIGH")}},
			"other order":    {Limit: 5, Token: page.Token, Sort: []hub.Sort{{Field: "Title"}}},
			"garbage":        {Limit: 5, Token: "garbage!"},
			"cut":            {Limit: 5, Token: page.Token[:len(page.Token)-3]},
			"one character":  {Limit: 5, Token: page.Token[:5] + "A" + page.Token[6:]},
			"too long":       {Limit: 5, Token: strings.Repeat("A", 10_000)},
			"page too large": {Limit: 5000},
			"negative page":  {Limit: -1},
			"unsortable":     {Sort: []hub.Sort{{Field: "ResourceTags"}}},
			"odd order":      {Sort: []hub.Sort{{Field: "Title", SortOrder: "up"}}},
		} {
			if _, err := h.Find(t.Context(), bad); !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v, want invalid", name, err)
			}
		}
		if next, err := h.Find(t.Context(), hub.Query{Limit: 3, Token: page.Token}); err != nil || len(next.Findings) != 3 {
			t.Errorf("another page size: %v", err)
		}
	})
}

// A second node answers with what the first has written.
func TestTwoNodes(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		other, err := hub.New(t.Context(), hub.Config{DB: h.db, Bus: h.bus, Now: h.time, Account: account})
		h.check(err)
		for i := range 5 {
			h.importing(simple(fmt.Sprint("n", i)))
			if n, err := other.Count(t.Context(), nil); err != nil || n != i+1 {
				t.Fatalf("the other node counts %d, %v, want %d", n, err, i+1)
			}
			h.update(hub.To(finding.Resolved), fmt.Sprint("n", i))
			if n, err := other.Count(t.Context(), hub.Filters{"WorkflowStatus": hub.Is("RESOLVED")}); err != nil || n != i+1 {
				t.Fatalf("the other node counts %d resolved, %v, want %d", n, err, i+1)
			}
		}
	})
}

// Insights count by any attribute, each resource of a finding.
func TestInsights(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(
			simple("a", label(finding.Critical), func(f *finding.Finding) {
				f.Resources = []finding.Resource{{Type: "A", ID: "x"}, {Type: "A", ID: "y"}}
			}),
			simple("b", label(finding.Low), func(f *finding.Finding) { f.Resources = []finding.Resource{{Type: "A", ID: "x"}} }),
			simple("c", label(finding.Low), func(f *finding.Finding) { f.Title = "same" }),
			simple("d", label(finding.Low), func(f *finding.Finding) { f.Title = "same" }),
		)
		for by, want := range map[string]string{
			"ResourceId": "x:2 arn:aws:s3:::c:1 arn:aws:s3:::d:1 y:1", "ResourceType": "A:2 AwsS3Bucket:2", "SeverityLabel": "LOW:3 CRITICAL:1",
			"Title": "same:2 title of a:1 title of b:1", "Type": "Effects/Data Exposure:4", "GeneratorId": "rule/1:4", "ProductName": "Default:4", "NoteText": "", "SeverityNormalized": "1:3 90:1",
		} {
			made, err := h.CreateInsight(t.Context(), hub.Insight{Name: by, GroupBy: by, Filters: hub.Filters{"RecordState": hub.Is("ACTIVE")}})
			h.check(err)
			_, groups, err := h.Results(t.Context(), made.ARN)
			h.check(err)
			var got []string
			for _, g := range groups {
				got = append(got, fmt.Sprintf("%s:%d", g.Value, g.Count))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("by %s: %v, want %s", by, got, want)
			}
		}
		all, err := h.Insights(t.Context())
		h.check(err)
		if len(all) < 9+12 {
			t.Errorf("%d insights", len(all))
		}
		for _, i := range all {
			if _, _, err := h.Results(t.Context(), i.ARN); err != nil {
				t.Errorf("%s: %v", i.Name, err)
			}
		}
		mine := all[0]
		h.check(h.UpdateInsight(t.Context(), hub.Insight{ARN: mine.ARN, Name: "renamed"}))
		if got, err := h.Insight(t.Context(), mine.ARN); err != nil || got.Name != "renamed" || got.GroupBy != mine.GroupBy {
			t.Errorf("%+v, %v", got, err)
		}
		h.check(h.DeleteInsight(t.Context(), mine.ARN))
		if _, err := h.Insight(t.Context(), mine.ARN); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted: %v", err)
		}
		if _, err := h.CreateInsight(t.Context(), hub.Insight{Name: "x", GroupBy: "Nonsense"}); !errors.Is(err, fault.Invalid) {
			t.Errorf("grouping by nonsense: %v", err)
		}
		if err := h.DeleteInsight(t.Context(), all[len(all)-1].ARN); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleting a managed one: %v", err)
		}
	})
}
