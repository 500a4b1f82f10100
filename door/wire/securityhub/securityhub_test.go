package securityhub_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4/sigv4test"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/securityhub"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

var update = flag.Bool("update", false, "write ops.txt anew")

const (
	own       = "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default"
	hubARN    = "arn:aws:securityhub:us-east-1:111122223333:hub/default"
	foundling = `{"SchemaVersion":"2018-10-08","Id":"%s","ProductArn":"` + own + `","GeneratorId":"g","AwsAccountId":"111122223333","Types":["Software and Configuration Checks/Vulnerabilities/CVE"],` +
		`"CreatedAt":"2026-01-01T00:00:00Z","UpdatedAt":"%s","Severity":{"Label":"HIGH"},"Title":"t","Description":"d","Resources":[{"Type":"Other","Id":"r","Partition":"aws","Region":"us-east-1"}]}`
)

func newHub(t testing.TB) *hub.Hub {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), hub.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	h, err := hub.New(t.Context(), hub.Config{DB: d, Bus: bus.New(d), Account: wiretest.Account, Region: wiretest.Region, AccountNames: map[string]string{wiretest.Account: "main"}, Standards: []hub.Standard{{
		ARN: "arn:aws:securityhub:us-east-1::standards/aws-foundational-security-best-practices/v/1.0.0", Name: "Best practices", Description: "d", Company: "AWS", Product: "Security Hub",
		Controls: []hub.Control{{ID: "S3.5", Title: "t", Description: "d", RemediationURL: "https://example.com", Severity: finding.Medium, Requirements: []string{"x"},
			Parameters: []byte(`{"days":{"Description":"d","ConfigurationOptions":{"Integer":{"DefaultValue":7,"Min":1,"Max":90}}}}`)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOps(t *testing.T) { wiretest.Ops(t, securityhub.Service(newHub(t)), "ops.txt", *update) }

// Every operation that is a must is answered.
func TestMusts(t *testing.T) {
	s := securityhub.Service(newHub(t))
	for _, name := range strings.Fields(`BatchImportFindings GetFindings BatchUpdateFindings UpdateFindings GetFindingHistory
		DescribeHub EnableSecurityHub UpdateSecurityHubConfiguration DisableSecurityHub DescribeProducts ListEnabledProductsForImport EnableImportFindingsForProduct DisableImportFindingsForProduct
		CreateInsight GetInsights GetInsightResults UpdateInsight DeleteInsight CreateActionTarget DescribeActionTargets UpdateActionTarget DeleteActionTarget
		CreateAutomationRule BatchGetAutomationRules ListAutomationRules BatchUpdateAutomationRules BatchDeleteAutomationRules
		DescribeStandards GetEnabledStandards BatchEnableStandards BatchDisableStandards DescribeStandardsControls UpdateStandardsControl ListSecurityControlDefinitions GetSecurityControlDefinition
		BatchGetSecurityControls UpdateSecurityControl ListStandardsControlAssociations BatchGetStandardsControlAssociations BatchUpdateStandardsControlAssociations
		ListTagsForResource TagResource UntagResource`) {
		if _, ok := s.Operations[name]; !ok {
			t.Errorf("%s is not answered", name)
		}
	}
}

// door is a hub behind the wire, asked by hand.
type door struct {
	*wiretest.Server
	t     *testing.T
	hub   *hub.Hub
	model *wire.Model
}

func open(t *testing.T, deny func(iam.Request) bool) *door {
	h := newHub(t)
	s := securityhub.Service(h)
	return &door{wiretest.Serve(t, wiretest.Options{Deny: deny}, s), t, h, s.Model}
}

// ask calls an operation, holds the answer against the model, and reads it.
func (d *door) ask(operation, method, path, body string) map[string]any {
	d.t.Helper()
	response, text := d.Call(d.t, "securityhub", method, path, "", body)
	if response.StatusCode != http.StatusOK {
		d.t.Fatalf("%s: %s %s", operation, response.Status, text)
	}
	wiretest.Valid(d.t, d.model, operation, text)
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		d.t.Fatal(err)
	}
	return out
}

// refused calls an operation that must be refused with that code.
func (d *door) refused(status int, code, method, path, body string) {
	d.t.Helper()
	response, text := d.Call(d.t, "securityhub", method, path, "", body)
	if response.StatusCode != status || response.Header.Get("X-Amzn-Errortype") != code {
		d.t.Errorf("%s %s %s: %s %s %s, want %d %s", method, path, body, response.Status, response.Header.Get("X-Amzn-Errortype"), text, status, code)
	}
}

func escaped(arn string) string {
	return strings.ReplaceAll(strings.ReplaceAll(arn, ":", "%3A"), "/", "%2F")
}

// The musts, one after the other; each answer is what its model promises.
func TestAnswers(t *testing.T) {
	d := open(t, nil)
	in := d.ask("BatchImportFindings", "POST", "/findings/import", `{"Findings":[`+fmt.Sprintf(foundling, "a", "2026-01-01T00:00:00Z")+`,{"Id":"broken","Title":7},`+
		strings.Replace(fmt.Sprintf(foundling, "odd", "2026-01-01T00:00:00Z"), `"Title":"t"`, `"Title":"t","Network":"not an object"`, 1)+`,`+
		strings.Replace(fmt.Sprintf(foundling, "strange", "2026-01-01T00:00:00Z"), `"Title":"t"`, `"Title":"t","Novel":{"a":1.0}`, 1)+`]}`)
	if in["SuccessCount"] != 2.0 || in["FailedCount"] != 2.0 || in["FailedFindings"].([]any)[0].(map[string]any)["Id"] != "broken" {
		t.Errorf("import: %v", in)
	}
	_, text := d.Call(t, "securityhub", "POST", "/findings", "", `{"Filters":{"Id":[{"Value":"strange","Comparison":"EQUALS"}]}}`)
	if !strings.Contains(string(text), `"Novel":{"a":1.0}`) {
		t.Errorf("an unknown member is lost: %s", text)
	}
	got := d.ask("GetFindings", "POST", "/findings", `{"Filters":{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}],"Id":[{"Value":"a","Comparison":"EQUALS"}]},"SortCriteria":[{"Field":"UpdatedAt","SortOrder":"desc"}],"MaxResults":1}`)
	if n := len(got["Findings"].([]any)); n != 1 {
		t.Errorf("%d findings", n)
	}
	up := d.ask("BatchUpdateFindings", "PATCH", "/findings/batchupdate", `{"FindingIdentifiers":[{"Id":"a","ProductArn":"`+own+`"},{"Id":"gone","ProductArn":"`+own+`"}],"Workflow":{"Status":"SUPPRESSED"},"Note":{"Text":"risk-accepted","UpdatedBy":"alice"},"UserDefinedFields":{"ticket":"SEC-1"}}`)
	if len(up["ProcessedFindings"].([]any)) != 1 || up["UnprocessedFindings"].([]any)[0].(map[string]any)["ErrorCode"] != "FindingNotFound" {
		t.Errorf("update: %v", up)
	}
	history := d.ask("GetFindingHistory", "POST", "/findingHistory/get", `{"FindingIdentifier":{"Id":"a","ProductArn":"`+own+`"},"StartTime":"2020-01-01T00:00:00Z","MaxResults":10}`)
	if n := len(history["Records"].([]any)); n != 2 {
		t.Errorf("%d records of history", n)
	}
	d.ask("UpdateFindings", "PATCH", "/findings", `{"Filters":{"Id":[{"Value":"a","Comparison":"EQUALS"}]},"RecordState":"ARCHIVED"}`)

	if at := d.ask("DescribeHub", "GET", "/accounts", ""); at["HubArn"] != hubARN {
		t.Errorf("hub: %v", at)
	}
	d.ask("UpdateSecurityHubConfiguration", "PATCH", "/accounts", `{"AutoEnableControls":false}`)
	products := d.ask("DescribeProducts", "GET", "/products?MaxResults=3", "")
	if len(products["Products"].([]any)) != 3 || products["NextToken"] == nil {
		t.Errorf("products: %v", products)
	}
	d.ask("DescribeProducts", "GET", "/products?NextToken="+products["NextToken"].(string), "")
	sub := d.ask("EnableImportFindingsForProduct", "POST", "/productSubscriptions", `{"ProductArn":"arn:aws:securityhub:us-east-1::product/acme/scanner"}`)["ProductSubscriptionArn"].(string)
	if list := d.ask("ListEnabledProductsForImport", "GET", "/productSubscriptions", ""); !slices.Contains(list["ProductSubscriptions"].([]any), any(sub)) {
		t.Errorf("subscriptions: %v", list)
	}
	d.ask("DisableImportFindingsForProduct", "DELETE", "/productSubscriptions/"+strings.ReplaceAll(sub, ":", "%3A"), "")

	insight := d.ask("CreateInsight", "POST", "/insights", `{"Name":"top","Filters":{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}]},"GroupByAttribute":"ResourceId"}`)["InsightArn"].(string)
	d.ask("GetInsights", "POST", "/insights/get", `{"InsightArns":["`+insight+`"]}`)
	d.ask("GetInsights", "POST", "/insights/get", `{}`)
	results := d.ask("GetInsightResults", "GET", "/insights/results/"+strings.ReplaceAll(insight, ":", "%3A"), "")
	if n := len(results["InsightResults"].(map[string]any)["ResultValues"].([]any)); n != 1 {
		t.Errorf("results: %v", results)
	}
	d.ask("UpdateInsight", "PATCH", "/insights/"+strings.ReplaceAll(insight, ":", "%3A"), `{"Name":"renamed"}`)
	d.ask("DeleteInsight", "DELETE", "/insights/"+strings.ReplaceAll(insight, ":", "%3A"), "")
	action := d.ask("CreateActionTarget", "POST", "/actionTargets", `{"Name":"Ticket","Description":"Open ticket","Id":"Ticket"}`)["ActionTargetArn"].(string)
	d.ask("UpdateActionTarget", "PATCH", "/actionTargets/"+strings.ReplaceAll(action, ":", "%3A"), `{"Name":"Other"}`)
	d.ask("DescribeActionTargets", "POST", "/actionTargets/get", `{"ActionTargetArns":["`+action+`"]}`)
	d.ask("DeleteActionTarget", "DELETE", "/actionTargets/"+strings.ReplaceAll(action, ":", "%3A"), "")

	rule := d.ask("CreateAutomationRule", "POST", "/automationrules/create", `{"RuleOrder":1,"RuleName":"r","Description":"d","Tags":{"a":"b"},"Criteria":{"SeverityLabel":[{"Value":"LOW","Comparison":"EQUALS"}],"UpdatedAt":[{"DateRange":{"Value":7,"Unit":"DAYS"}}],"Confidence":[{"Gte":5}]},`+
		`"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Workflow":{"Status":"SUPPRESSED"},"Note":{"Text":"n","UpdatedBy":"u"},"Severity":{"Label":"LOW"}}}]}`)["RuleArn"].(string)
	d.ask("ListAutomationRules", "GET", "/automationrules/list", "")
	rules := d.ask("BatchGetAutomationRules", "POST", "/automationrules/get", `{"AutomationRulesArns":["`+rule+`","arn:gone"]}`)
	if len(rules["Rules"].([]any)) != 1 || len(rules["UnprocessedAutomationRules"].([]any)) != 1 {
		t.Errorf("rules: %v", rules)
	}
	d.ask("BatchUpdateAutomationRules", "PATCH", "/automationrules/update", `{"UpdateAutomationRulesRequestItems":[{"RuleArn":"`+rule+`","RuleOrder":7,"IsTerminal":true}]}`)
	if tags := d.ask("ListTagsForResource", "GET", "/tags/"+escaped(rule), ""); tags["Tags"].(map[string]any)["a"] != "b" {
		t.Errorf("tags: %v", tags)
	}
	d.ask("BatchDeleteAutomationRules", "POST", "/automationrules/delete", `{"AutomationRulesArns":["`+rule+`"]}`)
	d.ask("TagResource", "POST", "/tags/"+escaped(hubARN), `{"Tags":{"x":"y"}}`)
	d.ask("UntagResource", "DELETE", "/tags/"+escaped(hubARN)+"?tagKeys=x", "")

	const standard, subscribed = "arn:aws:securityhub:us-east-1::standards/aws-foundational-security-best-practices/v/1.0.0", "arn:aws:securityhub:us-east-1:111122223333:subscription/aws-foundational-security-best-practices/v/1.0.0"
	d.ask("DescribeStandards", "GET", "/standards", "")
	d.ask("BatchEnableStandards", "POST", "/standards/register", `{"StandardsSubscriptionRequests":[{"StandardsArn":"`+standard+`"}]}`)
	if on := d.ask("GetEnabledStandards", "POST", "/standards/get", `{}`); len(on["StandardsSubscriptions"].([]any)) != 1 {
		t.Errorf("enabled: %v", on)
	}
	controls := d.ask("DescribeStandardsControls", "GET", "/standards/controls/"+strings.ReplaceAll(subscribed, ":", "%3A"), "")
	arn := controls["Controls"].([]any)[0].(map[string]any)["StandardsControlArn"].(string)
	d.ask("UpdateStandardsControl", "PATCH", "/standards/control/"+strings.ReplaceAll(arn, ":", "%3A"), `{"ControlStatus":"DISABLED","DisabledReason":"because"}`)
	d.ask("DescribeStandardsControls", "GET", "/standards/controls/"+strings.ReplaceAll(subscribed, ":", "%3A"), "")
	d.ask("ListSecurityControlDefinitions", "GET", "/securityControls/definitions", "")
	d.ask("GetSecurityControlDefinition", "GET", "/securityControl/definition?SecurityControlId=S3.5", "")
	d.ask("UpdateSecurityControl", "PATCH", "/securityControl/update", `{"SecurityControlId":"S3.5","Parameters":{"days":{"ValueType":"CUSTOM","Value":{"Integer":30}}},"LastUpdateReason":"longer"}`)
	d.ask("BatchGetSecurityControls", "POST", "/securityControls/batchGet", `{"SecurityControlIds":["S3.5","X.1"]}`)
	d.ask("ListStandardsControlAssociations", "GET", "/associations?SecurityControlId=S3.5", "")
	d.ask("BatchGetStandardsControlAssociations", "POST", "/associations/batchGet", `{"StandardsControlAssociationIds":[{"SecurityControlId":"S3.5","StandardsArn":"`+standard+`"},{"SecurityControlId":"S3.5","StandardsArn":"arn:gone"}]}`)
	d.ask("BatchUpdateStandardsControlAssociations", "PATCH", "/associations", `{"StandardsControlAssociationUpdates":[{"StandardsArn":"`+standard+`","SecurityControlId":"S3.5","AssociationStatus":"ENABLED"},{"StandardsArn":"`+standard+`","SecurityControlId":"X","AssociationStatus":"ENABLED"}]}`)
	d.ask("BatchDisableStandards", "POST", "/standards/deregister", `{"StandardsSubscriptionArns":["`+subscribed+`"]}`)
	d.ask("DisableSecurityHub", "DELETE", "/accounts", "")
	d.refused(401, "InvalidAccessException", "GET", "/accounts", "")
	d.refused(401, "InvalidAccessException", "POST", "/findings", "{}")
	d.ask("EnableSecurityHub", "POST", "/accounts", `{"Tags":{"team":"sec"},"EnableDefaultStandards":false}`)
}

// What is wrong is said in the service's own codes.
func TestErrors(t *testing.T) {
	d := open(t, nil)
	d.refused(409, "ResourceConflictException", "POST", "/accounts", `{}`)
	d.refused(400, "InvalidInputException", "POST", "/findings", `{"Filters":{"Id":[{"Value":"a","Comparison":"EQUALS"},{"Value":"b","Comparison":"NOT_EQUALS"}]}}`)
	d.refused(400, "InvalidInputException", "POST", "/findings", `{"NextToken":"nonsense"}`)
	d.refused(400, "InvalidInputException", "POST", "/findings", `{"MaxResults":1000}`)
	d.refused(400, "InvalidInputException", "POST", "/findings/import", `{"Findings":[]}`)
	d.refused(400, "InvalidInputException", "PATCH", "/findings/batchupdate", `{"FindingIdentifiers":[{"Id":"a","ProductArn":"p"}]}`)
	d.refused(404, "ResourceNotFoundException", "GET", "/insights/results/arn%3Agone", "")
	d.refused(404, "ResourceNotFoundException", "DELETE", "/productSubscriptions/arn%3Aaws%3Asecurityhub%3Aus-east-1%3A111122223333%3Aproduct-subscription/a/b", "")
	d.refused(400, "InvalidInputException", "POST", "/findingHistory/get", `{"FindingIdentifier":{"Id":"gone","ProductArn":"p"}}`)
	d.refused(400, "InvalidInputException", "POST", "/insights", `{"Name":"n","Filters":{},"GroupByAttribute":"Nonsense"}`)
	d.refused(400, "InvalidInputException", "GET", "/products?NextToken=bm9uc2Vuc2U", "")
	d.refused(404, "ResourceNotFoundException", "POST", "/tags/"+escaped("arn:aws:securityhub:us-east-1:111122223333:hub/other"), `{"Tags":{"a":"b"}}`)
	d.refused(501, "NotImplemented", "GET", "/members", "")
	var long []string
	for i := range 101 {
		long = append(long, fmt.Sprintf(foundling, fmt.Sprint(i), "2026-01-01T00:00:00Z"))
	}
	d.refused(400, "InvalidInputException", "POST", "/findings/import", `{"Findings":[`+strings.Join(long, ",")+`]}`)
}

// A policy can forbid a field, a value, or importing for an account.
func TestConditionKeys(t *testing.T) {
	deny := func(r iam.Request) bool {
		_, workflow := r.Context["securityhub:ASFFSyntaxPath/Workflow.Status"]
		_, lower := r.Context["securityhub:asffsyntaxpath/workflow.status"]
		target := slices.Concat(r.Context["securityhub:TargetAccount"], r.Context["securityhub:targetaccount"])
		return workflow || lower || slices.Contains(target, "999999999999")
	}
	d := open(t, deny)
	d.ask("BatchImportFindings", "POST", "/findings/import", `{"Findings":[`+fmt.Sprintf(foundling, "a", "2026-01-01T00:00:00Z")+`]}`)
	d.refused(403, "AccessDeniedException", "POST", "/findings/import", `{"Findings":[`+strings.ReplaceAll(fmt.Sprintf(foundling, "b", "2026-01-01T00:00:00Z"), "111122223333", "999999999999")+`]}`)
	identifiers := `{"FindingIdentifiers":[{"Id":"a","ProductArn":"` + own + `"}],`
	d.refused(403, "AccessDeniedException", "PATCH", "/findings/batchupdate", identifiers+`"Workflow":{"Status":"NEW"}}`)
	d.ask("BatchUpdateFindings", "PATCH", "/findings/batchupdate", identifiers+`"Confidence":3}`)
}

// A finding that came in by another door with a member of another type than clients know does not spoil the page.
func TestForeignMembers(t *testing.T) {
	d := open(t, nil)
	f, err := finding.Parse([]byte(fmt.Sprintf(foundling, "odd", "2026-01-01T00:00:00Z")))
	if err != nil {
		t.Fatal(err)
	}
	f.Extra = []byte(`{"Network":[1,2]}`)
	if did, err := d.hub.Import(t.Context(), finding.Scan{}, f); err != nil || did.New != 1 {
		t.Fatal(did, err)
	}
	if got := d.ask("GetFindings", "POST", "/findings", `{}`); len(got["Findings"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
}

// Every recorded call of a real client that we answer is answered as its model promises, or refused in its codes.
func TestRecordedCalls(t *testing.T) {
	h := newHub(t)
	s := securityhub.Service(h)
	answered := 0
	for _, r := range sigv4test.Recordings(t) {
		if !strings.HasPrefix(r.Name, "securityhub") {
			continue
		}
		request, err := r.Request()
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("20060102T150405Z", request.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Fatal(err)
		}
		var heard wire.Heard
		handler, err := wire.New(wire.Config{Keys: recordedKeys{}, Gate: everybody{}, Services: []wire.Service{s}, Now: func() time.Time { return at }, Heard: func(_ context.Context, h wire.Heard) error { heard = h; return nil }})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		_, ours := s.Operations[heard.Call.Operation]
		switch {
		case w.Code == http.StatusOK:
			answered++
			wiretest.Valid(t, s.Model, heard.Call.Operation, w.Body.Bytes())
		case !ours && w.Code == http.StatusNotImplemented:
		case ours && w.Code < 500 && slices.Contains(s.Model.Operations[heard.Call.Operation].Errors, heard.Code):
		default:
			t.Errorf("%s/%s: %d %s", r.Client, r.Name, w.Code, w.Body)
		}
	}
	if answered < 30 {
		t.Errorf("only %d recorded calls were answered", answered)
	}
}

type everybody struct{}

func (everybody) Allow(context.Context, ...iam.Request) error { return nil }

type recordedKeys struct{}

func (recordedKeys) Secret(_ context.Context, id, _ string) (seal.Secret, iam.Principal, error) {
	if id != sigv4test.AccessKey {
		return "", iam.Principal{}, fault.NotFound.Errorf("no such key")
	}
	return sigv4test.Secret, wiretest.Caller(), nil
}
