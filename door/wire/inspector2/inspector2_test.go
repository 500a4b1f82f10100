package inspector2_test

import (
	"flag"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/door/wire/ecr"
	"github.com/haechi-dev/haechi/door/wire/inspector2"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) {
	wiretest.Ops(t, inspector2.Service(inspector2.Config{}), "ops.txt", *update)
}

const (
	account = "111122223333"
	region  = "us-east-1"
)

var digest = "sha256:" + strings.Repeat("0a", 32)

// open is a hub and an inspector that have judged a repository and an image: log4j-core and left-pad with a bug each.
func open(t *testing.T) inspector2.Config {
	t.Helper()
	b := advisory.NewBuilder()
	for _, doc := range []string{
		`{"id":"GHSA-log4","aliases":["CVE-2021-44228"],"modified":"2024-01-01T00:00:00Z","summary":"Remote code injection","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}],"references":[{"type":"WEB","url":"https://logging.apache.org/"}],"affected":[{"package":{"ecosystem":"Maven","name":"org.apache.logging.log4j:log4j-core"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2.0"},{"fixed":"2.15.0"}]}]}]}`,
		`{"id":"GHSA-pad","aliases":["CVE-2026-1"],"modified":"2026-01-01T00:00:00Z","summary":"left-pad pads on the right","affected":[{"package":{"ecosystem":"npm","name":"left-pad"},"versions":["1.0.0"]}]}`,
	} {
		if err := b.Add([]byte(doc)); err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Index(time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), hub.Schema(), inspect.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	h, err := hub.New(t.Context(), hub.Config{DB: d, Bus: bus.New(d), Account: account, Region: region, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	room := inspect.New(inspect.Config{DB: d, Hub: h, Maker: finding.Maker{Account: account, Region: region}, Log: quiet, Newest: func() (*deps.Scanner, *advisory.Index) { return deps.New(x), x }})
	log4j := component.Component{PURL: "pkg:maven/org.apache.logging.log4j/log4j-core", Ecosystem: "Maven", Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1", State: component.Resolved, Scope: component.Runtime, Direct: true, Place: diag.Place{File: "pom.xml", Line: 9}}
	pad := component.Component{PURL: "pkg:npm/left-pad", Ecosystem: "npm", Name: "left-pad", Version: "1.0.0", State: component.Resolved, Scope: component.Development, Place: diag.Place{File: "package-lock.json", Line: 3}}
	for _, thing := range []struct {
		kind, target, branch, digest string
		components                   []component.Component
	}{
		{inspect.Source, "shop", "main", "", []component.Component{log4j, pad}},
		{inspect.Image, "registry.example/shop/api:1.2", "", digest, []component.Component{log4j}},
	} {
		s := finding.Scan{ID: "scan-" + thing.target, Tool: "deps", Target: thing.target, Branch: thing.branch, Digest: thing.digest, Commit: strings.Repeat("ab", 20), Complete: true}
		if err := room.Keep(t.Context(), thing.kind, s, thing.components); err != nil {
			t.Fatal(err)
		}
	}
	if err := room.Judge(t.Context()); err != nil {
		t.Fatal(err)
	}
	return inspector2.Config{Hub: h, Inspect: room, Account: account, Region: region}
}

type object = map[string]any

// call sends one operation; the model must agree with what is answered.
func call(t *testing.T, s *wiretest.Server, operation, path string, in any) (int, object) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	response, text := s.Call(t, "inspector2", "POST", path, "", string(body))
	if response.StatusCode == http.StatusOK {
		wiretest.Valid(t, inspector2.Service(inspector2.Config{}).Model, operation, text)
	}
	var out object
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %s", operation, text)
	}
	return response.StatusCode, out
}

func is(value string) []object { return []object{{"comparison": "EQUALS", "value": value}} }

// Findings are asked for by what they are of, sorted and paged, in Inspector's shape.
func TestListFindings(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, inspector2.Service(open(t)))
	for name, test := range map[string]struct {
		criteria object
		want     int
	}{
		"all":                         {object{}, 3},
		"one bug":                     {object{"vulnerabilityId": is("CVE-2021-44228")}, 2},
		"by the beginning":            {object{"vulnerabilityId": []object{{"comparison": "PREFIX", "value": "CVE-2026-"}}}, 1},
		"all but one":                 {object{"vulnerabilityId": []object{{"comparison": "NOT_EQUALS", "value": "CVE-2026-1"}}}, 2},
		"any of two":                  {object{"vulnerabilityId": append(is("CVE-2026-1"), is("CVE-2021-44228")...)}, 3},
		"critical":                    {object{"severity": is("CRITICAL")}, 2},
		"of repositories":             {object{"resourceType": is("CODE_REPOSITORY")}, 2},
		"of an image":                 {object{"ecrImageRepositoryName": is("shop/api"), "ecrImageTags": is("1.2"), "ecrImageHash": is(digest)}, 1},
		"of a project":                {object{"codeRepositoryProjectName": is("shop")}, 2},
		"active":                      {object{"findingStatus": is("ACTIVE")}, 3},
		"closed":                      {object{"findingStatus": is("CLOSED")}, 0},
		"mendable":                    {object{"fixAvailable": is("YES")}, 2},
		"by package":                  {object{"vulnerablePackages": []object{{"name": object{"comparison": "EQUALS", "value": "left-pad"}, "version": object{"comparison": "EQUALS", "value": "1.0.0"}}}}, 1},
		"by package, another version": {object{"vulnerablePackages": []object{{"name": object{"comparison": "EQUALS", "value": "left-pad"}, "version": object{"comparison": "EQUALS", "value": "2.0.0"}}}}, 0},
		"by score":                    {object{"inspectorScore": []object{{"lowerInclusive": 7, "upperInclusive": 10}}}, 2},
		"of today":                    {object{"firstObservedAt": []object{{"startInclusive": time.Now().Add(-time.Hour).Unix(), "endInclusive": time.Now().Add(time.Hour).Unix()}}}, 3},
		"of another day":              {object{"firstObservedAt": []object{{"endInclusive": 1000}}}, 0},
		"of machines":                 {object{"ec2InstanceVpcId": is("vpc-1")}, 0},
		"by port":                     {object{"portRange": []object{{"beginInclusive": 1, "endInclusive": 2}}}, 0},
	} {
		status, out := call(t, s, "ListFindings", "/findings/list", object{"filterCriteria": test.criteria})
		if list, _ := out["findings"].([]any); status != 200 || len(list) != test.want {
			t.Errorf("%s: %d with %d, want %d: %v", name, status, len(list), test.want, out["message"])
		}
	}
	sorted := object{"field": "SEVERITY", "sortOrder": "DESC"}
	_, first := call(t, s, "ListFindings", "/findings/list", object{"sortCriteria": sorted, "maxResults": 2})
	status, second := call(t, s, "ListFindings", "/findings/list", object{"sortCriteria": sorted, "maxResults": 2, "nextToken": first["nextToken"]})
	one := first["findings"].([]any)[0].(object)
	if last := second["findings"].([]any); status != 200 || len(last) != 1 || one["severity"] != "CRITICAL" || last[0].(object)["severity"] != "MEDIUM" {
		t.Errorf("%v then %v", first, second)
	}
	package1 := one["packageVulnerabilityDetails"].(object)["vulnerablePackages"].([]any)[0].(object)
	if package1["fixedInVersion"] != "2.15.0" || package1["packageManager"] != "POM" || one["inspectorScoreDetails"] == nil {
		t.Errorf("%v", one)
	}
	for _, in := range []object{{"nextToken": "x"}, {"filterCriteria": object{"severity": []object{{"comparison": "LIKE", "value": "x"}}}}, {"maxResults": 101}} {
		if status, _ := call(t, s, "ListFindings", "/findings/list", in); status != 400 {
			t.Errorf("%v: %d", in, status)
		}
	}
}

// What the advisories say of a bug is told by its name, and of findings by theirs.
func TestDetails(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, inspector2.Service(open(t)))
	status, out := call(t, s, "SearchVulnerabilities", "/vulnerabilities/search", object{"filterCriteria": object{"vulnerabilityIds": []string{"CVE-2021-44228"}}})
	if list, _ := out["vulnerabilities"].([]any); status != 200 || len(list) != 1 || number(list[0].(object)["cvss3"].(object)["baseScore"]) != "10" {
		t.Errorf("%d %v", status, out)
	}
	if status, out := call(t, s, "SearchVulnerabilities", "/vulnerabilities/search", object{"filterCriteria": object{"vulnerabilityIds": []string{"CVE-1999-1"}}}); status != 200 || len(out["vulnerabilities"].([]any)) != 0 {
		t.Errorf("one that nobody knows: %d %v", status, out)
	}
	_, found := call(t, s, "ListFindings", "/findings/list", object{"filterCriteria": object{"vulnerabilityId": is("CVE-2021-44228")}, "maxResults": 1})
	arn := found["findings"].([]any)[0].(object)["findingArn"]
	status, out = call(t, s, "BatchGetFindingDetails", "/findings/details/batch/get", object{"findingArns": []any{arn, "arn:aws:inspector2:us-east-1:111122223333:finding/" + strings.Repeat("0", 32)}})
	if status != 200 || len(out["findingDetails"].([]any)) != 1 || len(out["errors"].([]any)) != 1 || !strings.Contains(number(out["findingDetails"]), "https://logging.apache.org/") {
		t.Errorf("%d %v", status, out)
	}
}

// Findings are counted by package, title, image, repository, project and account; what packages do not have counts nothing.
func TestAggregations(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, inspector2.Service(open(t)))
	for kind, want := range map[string]string{
		"PACKAGE": `packageAggregation packageName org.apache.logging.log4j:log4j-core 2 2`, "TITLE": "titleAggregation vulnerabilityId CVE-2021-44228 2 2", "REPOSITORY": "repositoryAggregation repository shop/api 1 1",
		"AWS_ECR_CONTAINER": "awsEcrContainerAggregation repository shop/api 1 1", "CODE_REPOSITORY": "codeRepositoryAggregation projectNames shop 2 1", "ACCOUNT": "accountAggregation accountId 111122223333 3 2",
		"FINDING_TYPE": "findingTypeAggregation accountId 111122223333 3 2", "AMI": "", "AWS_LAMBDA_FUNCTION": "", "IMAGE_LAYER": "",
	} {
		status, out := call(t, s, "ListFindingAggregations", "/findings/aggregation/list", object{"aggregationType": kind})
		list, _ := out["responses"].([]any)
		if status != 200 || (len(list) == 0) != (want == "") {
			t.Errorf("%s: %d %v", kind, status, out)
			continue
		}
		if want == "" {
			continue
		}
		w := strings.Fields(want)
		got := list[0].(object)[w[0]].(object)
		counts := got["severityCounts"].(object)
		if got[w[1]] != w[2] || number(counts["all"]) != w[3] || number(counts["critical"]) != w[4] {
			t.Errorf("%s: %v, want %s", kind, got, want)
		}
	}
	status, out := call(t, s, "ListFindingAggregations", "/findings/aggregation/list", object{"aggregationType": "PACKAGE", "aggregationRequest": object{"packageAggregation": object{"packageNames": is("left-pad")}}})
	if list, _ := out["responses"].([]any); status != 200 || len(list) != 1 {
		t.Errorf("%d %v", status, out)
	}
}

func number(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// A filter with SUPPRESS suppresses what is there and what comes; deleted, it lets it up again.
func TestFilters(t *testing.T) {
	c := open(t)
	s := wiretest.Serve(t, wiretest.Options{}, inspector2.Service(c))
	statuses := func() string {
		_, out := call(t, s, "ListFindings", "/findings/list", object{"filterCriteria": object{"vulnerabilityId": is("CVE-2026-1")}})
		return out["findings"].([]any)[0].(object)["status"].(string)
	}
	status, out := call(t, s, "CreateFilter", "/filters/create", object{"name": "pads", "action": "SUPPRESS", "reason": "it is for tests alone", "filterCriteria": object{"vulnerablePackages": []object{{"name": object{"comparison": "EQUALS", "value": "left-pad"}}}, "severity": is("MEDIUM")}})
	arn := out["arn"]
	if status != 200 || statuses() != "SUPPRESSED" {
		t.Fatalf("%d %v", status, out)
	}
	if status, out := call(t, s, "CreateFilter", "/filters/create", object{"name": "pads", "action": "NONE", "filterCriteria": object{}}); status != 400 {
		t.Errorf("the same name again: %d %v", status, out)
	}
	for _, asked := range []object{{}, {"ecrImageTags": is("latest")}, {"resourceId": is("x")}, {"severity": append(is("LOW"), object{"comparison": "NOT_EQUALS", "value": "HIGH"})}} {
		if status, out := call(t, s, "CreateFilter", "/filters/create", object{"name": "x", "action": "SUPPRESS", "filterCriteria": asked}); status != 400 {
			t.Errorf("%v suppresses: %d %v", asked, status, out)
		}
	}
	if status, out := call(t, s, "UpdateFilter", "/filters/update", object{"filterArn": arn, "action": "NONE"}); status != 200 || statuses() != "ACTIVE" {
		t.Errorf("%d %v", status, out)
	}
	if status, out := call(t, s, "UpdateFilter", "/filters/update", object{"filterArn": arn, "action": "SUPPRESS", "name": "the pads"}); status != 200 || statuses() != "SUPPRESSED" {
		t.Errorf("%d %v", status, out)
	}
	_, out = call(t, s, "ListFilters", "/filters/list", object{"action": "SUPPRESS"})
	if list := out["filters"].([]any); len(list) != 1 || list[0].(object)["name"] != "the pads" || list[0].(object)["reason"] != "it is for tests alone" {
		t.Errorf("%v", out)
	}
	if status, out := call(t, s, "DeleteFilter", "/filters/delete", object{"arn": arn}); status != 200 || statuses() != "ACTIVE" {
		t.Errorf("%d %v", status, out)
	}
	if status, _ := call(t, s, "DeleteFilter", "/filters/delete", object{"arn": arn}); status != 404 {
		t.Errorf("deleted twice: %d", status)
	}
	left, err := c.Hub.Suppressors(t.Context())
	if err != nil || len(left) != 0 {
		t.Errorf("%v %v", left, err)
	}
}

// What was looked into is listed and counted; what is on cannot be turned off, and what is not here cannot be turned on.
func TestCoverage(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, inspector2.Service(open(t)))
	for _, test := range []struct {
		criteria object
		want     int
	}{{object{}, 2}, {object{"resourceType": is("AWS_ECR_CONTAINER_IMAGE")}, 1}, {object{"codeRepositoryProjectName": is("shop")}, 1}, {object{"ecrRepositoryName": is("shop/api")}, 1}, {object{"scanStatusCode": is("INACTIVE")}, 0}, {object{"lastScannedAt": []object{{"endInclusive": 1000}}}, 0}} {
		_, list := call(t, s, "ListCoverage", "/coverage/list", object{"filterCriteria": test.criteria})
		_, count := call(t, s, "ListCoverageStatistics", "/coverage/statistics/list", object{"filterCriteria": test.criteria, "groupBy": "RESOURCE_TYPE"})
		if got := list["coveredResources"].([]any); len(got) != test.want || number(count["totalCounts"]) != number(test.want) {
			t.Errorf("%v: %v, %v", test.criteria, got, count)
		}
	}
	for _, test := range []struct {
		operation, path string
		in              object
		status          int
	}{
		{"BatchGetAccountStatus", "/status/batch/get", object{}, 200}, {"BatchGetAccountStatus", "/status/batch/get", object{"accountIds": []string{"999999999999"}}, 200},
		{"Enable", "/enable", object{"resourceTypes": []string{"ECR"}}, 200}, {"Enable", "/enable", object{"resourceTypes": []string{"EC2"}}, 400},
		{"Disable", "/disable", object{"resourceTypes": []string{"ECR"}}, 400}, {"Disable", "/disable", object{"resourceTypes": []string{"LAMBDA"}}, 200},
		{"CreateSbomExport", "/sbomexport/create", object{"reportFormat": "SPDX_2_3", "s3Destination": object{"bucketName": "b", "kmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1"}}, 400},
		{"GetSbomExport", "/sbomexport/get", object{"reportId": "00000000-0000-0000-0000-000000000000"}, 404}, {"CancelSbomExport", "/sbomexport/cancel", object{"reportId": "00000000-0000-0000-0000-000000000000"}, 404},
	} {
		if status, out := call(t, s, test.operation, test.path, test.in); status != test.status {
			t.Errorf("%s %v: %d %v", test.operation, test.in, status, out)
		}
	}
}

// Every operation is asked for at the gate, by the name that IAM has for it.
func TestDenied(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool { return r.Action == "inspector2:ListFindings" }}, inspector2.Service(open(t)))
	if status, out := call(t, s, "ListFindings", "/findings/list", object{}); status != 403 {
		t.Errorf("%d %v", status, out)
	}
}

// AWS's own clients understand the answers.
func TestRealClients(t *testing.T) {
	c := open(t)
	s := wiretest.Serve(t, wiretest.Options{}, inspector2.Service(c), ecr.Service(c))
	for _, aws := range wiretest.Clients(t) {
		for _, test := range []struct{ arguments, want string }{
			{`inspector2 list-findings --filter-criteria {"severity":[{"comparison":"EQUALS","value":"CRITICAL"}]} --sort-criteria field=SEVERITY,sortOrder=DESC`, `"vulnerabilityId": "CVE-2021-44228"`},
			{`ecr describe-image-scan-findings --repository-name shop/api --image-id imageTag=1.2`, `CVE-2021-44228`},
		} {
			out, problems, err := aws.Run(t, s, append(strings.Fields(test.arguments), "--output", "json")...)
			if err != nil || !strings.Contains(out, test.want) {
				t.Errorf("%s %s: %v %s %s", aws.Path, test.arguments, err, out, problems)
			}
		}
	}
	out, problems, err := s.Python(t, `
i = client('inspector2')
print(sorted({f['packageVulnerabilityDetails']['vulnerabilityId'] for page in i.get_paginator('list_findings').paginate(PaginationConfig={'PageSize': 1}) for f in page['findings']}))
print([r['packageAggregation']['packageName'] for r in i.list_finding_aggregations(aggregationType='PACKAGE')['responses']])
print(sorted(r['resourceType'] for r in i.list_coverage()['coveredResources']), i.list_coverage_statistics()['totalCounts'])
print(i.batch_get_account_status()['accounts'][0]['state']['status'])
arn = i.create_filter(name='tests', action='SUPPRESS', filterCriteria={'vulnerabilityId': [{'comparison': 'EQUALS', 'value': 'CVE-2026-1'}]})['arn']
print(i.list_filters()['filters'][0]['arn'] == arn, [f['status'] for f in i.list_findings(filterCriteria={'vulnerabilityId': [{'comparison': 'EQUALS', 'value': 'CVE-2026-1'}]})['findings']])
i.delete_filter(arn=arn)
def raised(f, **arguments):
    try: f(**arguments)
    except botocore.exceptions.ClientError as e: return type(e).__name__
print(raised(i.create_sbom_export, reportFormat='SPDX_2_3', s3Destination={'bucketName': 'b', 'kmsKeyArn': 'k'}), raised(i.get_sbom_export, reportId='00000000-0000-0000-0000-000000000000'), raised(i.delete_filter, arn=arn), raised(i.list_members))
`)
	want := "['CVE-2021-44228', 'CVE-2026-1']\n['org.apache.logging.log4j:log4j-core', 'left-pad']\n['AWS_ECR_CONTAINER_IMAGE', 'CODE_REPOSITORY'] 2\nENABLED\nTrue ['SUPPRESSED']\nValidationException ResourceNotFoundException ResourceNotFoundException ClientError\n"
	if err != nil || out != want {
		t.Errorf("boto3: %v\n got %s%s\nwant %s", err, out, problems, want)
	}
}
