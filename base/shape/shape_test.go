package shape

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/word/asset"
)

// paths lists what the right-hand sides of the table read, from the top of an item.
func paths(want any, around []string) (all []string) {
	from := func(path string) string {
		list := around
		for strings.HasPrefix(path, "^") {
			path, list = path[1:], list[:len(list)-1]
		}
		if path == "." {
			return strings.TrimSuffix(list[len(list)-1], ".")
		}
		return list[len(list)-1] + path
	}
	switch want := want.(type) {
	case string:
		if want == "@" {
			return nil
		}
		return []string{from(want)}
	case []any:
		for _, x := range want {
			all = append(all, paths(x, around)...)
		}
	case map[string]any:
		each, ok := want["each"].(string)
		if !ok {
			each, ok = want["first"].(string)
		}
		if ok {
			outer, _, nested := cutLast(each)
			base := around
			if nested {
				base = append(base, from(outer)+".")
			}
			for name := range strings.SplitSeq(each[strings.LastIndex(each, ".")+1:], "|") {
				inner := from(outer)
				if nested {
					inner += "."
				}
				all = append(all, paths(want["make"], append(base[:len(base):len(base)], inner+name+"."))...)
				where, _ := want["where"].(map[string]any)
				for member := range where {
					all = append(all, inner+name+"."+member)
				}
			}
			return all
		}
		if cases, ok := want["case"].([]any); ok {
			for _, c := range cases {
				m := c.(map[string]any)
				for name := range m["where"].(map[string]any) {
					all = append(all, from(m["any"].(string))+"."+name)
				}
			}
			return all
		}
		if path, ok := want["json"].(string); ok {
			return []string{from(path)}
		}
		if _, ok := want["tags"]; ok {
			return nil
		}
		for _, x := range want {
			all = append(all, paths(x, around)...)
		}
	}
	return all
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndex(s, ".")
	return s[:max(i, 0)], s[i+1:], i >= 0
}

// What the table reads is what AWS's schema of configuration items says there is.
// The schema leaves out what is a text of JSON, and what an item had before 2017.
func TestTableFollowsSchema(t *testing.T) {
	folder := filepath.Join(os.Getenv("HAECHI_TESTDATA"), "compliance", "config-resource-schema", "resource-types")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("there is no compliance/config-resource-schema in HAECHI_TESTDATA")
	}
	text := map[string]bool{
		"supplementaryConfiguration.AccessControlList.grantList.grantee": true, "supplementaryConfiguration.AccessControlList.grantList.permission": true,
		"supplementaryConfiguration.BucketPolicy.policyText": true, "configuration.userPolicyList.policyDocument": true,
		"configuration.groupPolicyList.policyDocument": true, "configuration.rolePolicyList.policyDocument": true, "configuration.assumeRolePolicyDocument": true,
		"configuration.policyVersionList.document": true,
	}
	// What it does not have at all, though items do: attributes of load balancers,
	// members that are newer than it, and forms that are older.
	more := map[string]bool{
		"supplementaryConfiguration.LoadBalancerAttributes.key": true, "supplementaryConfiguration.LoadBalancerAttributes.value": true,
		"supplementaryConfiguration.LoadBalancerAttributes.accessLog.enabled": true, "supplementaryConfiguration.LoadBalancerAttributes.accessLog.s3BucketName": true,
		"supplementaryConfiguration.LoadBalancerAttributes.crossZoneLoadBalancing.enabled": true, "configuration.deletionProtectionEnabled": true,
		"configuration.state": true, "configuration.KmsKeyId": true, "configuration.distributionConfig.origins.items.vpcOriginConfig.vpcOriginId": true,
	}
	s := New()
	for _, typ := range s.Types() {
		var schema map[string]string
		data, err := os.ReadFile(filepath.Join(folder, typ+".properties.json"))
		if err == nil {
			err = json.Unmarshal(data, &schema)
		}
		if err != nil {
			t.Fatal(err)
		}
		e := s.types[typ]
		var all []string
		if whole, ok := e.Properties.(string); !ok {
			all = paths(e.Properties, []string{""})
		} else if !slices.ContainsFunc(slices.Collect(maps.Keys(schema)), func(p string) bool { return strings.HasPrefix(p, whole+".") }) {
			t.Errorf("%s: there is nothing below %s in the schema", typ, whole)
		}
		for _, a := range e.And {
			var want any = a.Properties
			if a.Each != "" {
				want = map[string]any{"each": a.Each, "make": a.Properties}
			}
			all = append(all, paths(want, []string{""})...)
		}
		for _, p := range all {
			if strings.Contains(p, ".*") || strings.HasPrefix(p, "supplementaryConfiguration.Policy.") || more[p] {
				continue // nor has it maps whose members are named by people, nor what stands in a policy
			}
			old := strings.HasSuffix(p, "ipRanges.cidrIp") || strings.HasSuffix(p, "ipRanges.description") || strings.HasSuffix(p, "ipv4Ranges")
			if schema[p] == "" && !text[p] && !old {
				t.Errorf("%s: there is no %s in the schema", typ, p)
			}
		}
	}
}

const security = `{"resourceType": "AWS::EC2::SecurityGroup", "resourceId": "sg-1", "awsRegion": "r", "accountId": "1", "arn": "a", "tags": {"b": "2", "a": "1"},
"configurationItemCaptureTime": 1750000000.5, "configurationItemStatus": "OK", "configurationStateId": "12", "configuration":
"{\"groupName\":\"web\",\"vpcId\":null,\"ipPermissions\":[{\"ipProtocol\":\"tcp\",\"fromPort\":22,\"toPort\":22,\"ipv4Ranges\":[{\"cidrIp\":\"10.0.0.0/8\",\"description\":\"x\"},{\"cidrIp\":\"0.0.0.0/0\"}],\"ipv6Ranges\":[{\"cidrIpv6\":\"::/0\"}]},{\"ipProtocol\":\"-1\",\"ipRanges\":[\"1.2.3.4/32\"],\"userIdGroupPairs\":[{\"groupId\":\"sg-2\",\"userId\":\"1\"}]}]}"}`

// Permissions with many ranges become one ingress each, as CloudFormation writes them; what is null is left out.
func TestSecurityGroup(t *testing.T) {
	items, err := New().Read("sg.json", []byte(security))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"GroupName":"web","SecurityGroupIngress":[` +
		`{"CidrIp":"10.0.0.0/8","Description":"x","FromPort":22,"IpProtocol":"tcp","ToPort":22},` +
		`{"CidrIp":"0.0.0.0/0","FromPort":22,"IpProtocol":"tcp","ToPort":22},` +
		`{"CidrIp":"1.2.3.4/32","IpProtocol":"-1"},` +
		`{"CidrIpv6":"::/0","FromPort":22,"IpProtocol":"tcp","ToPort":22},` +
		`{"IpProtocol":"-1","SourceSecurityGroupId":"sg-2","SourceSecurityGroupOwnerId":"1"}],` +
		`"Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"}]}`
	if d := cmp.Diff(want, string(items[0].Configuration)); d != "" {
		t.Error(d)
	}
	if got := string(New().Template(items[0])); got != `{"Resources":{"sg-1":{"Properties":`+want+`,"Type":"AWS::EC2::SecurityGroup"}}}` {
		t.Error(got)
	}
}

// An item is the same in every form in which AWS hands it over.
func TestReadForms(t *testing.T) {
	const (
		api   = `{"version":"1.3","accountId":"111122223333","awsRegion":"us-east-1","arn":"arn:x","resourceType":"AWS::EC2::Volume","resourceId":"vol-1","resourceName":"n","configurationItemStatus":"OK","configurationItemCaptureTime":1750000000.25,"configurationStateId":"7","tags":{"k":"v"},"configuration":"{\"encrypted\":true}"}`
		event = `{"awsAccountId":"111122223333","awsRegion":"us-east-1","ARN":"arn:x","resourceType":"AWS::EC2::Volume","resourceId":"vol-1","resourceName":"n","configurationItemStatus":"OK","configurationItemCaptureTime":"2025-06-15T15:06:40.250Z","configurationStateId":7,"tags":{"k":"v"},"configuration":{"encrypted":true}}`
	)
	quoted, _ := json.Marshal(`{"configurationItem":` + event + `,"messageType":"ConfigurationItemChangeNotification"}`)
	want := asset.Item{ARN: "arn:x", Type: "AWS::EC2::Volume", ID: "vol-1", Name: "n", Account: "111122223333", Region: "us-east-1",
		Captured: time.Date(2025, 6, 15, 15, 6, 40, 250e6, time.UTC), Tags: map[string]string{"k": "v"}, Configuration: []byte(`{"Encrypted":true,"Tags":[{"Key":"k","Value":"v"}]}`)}
	for name, text := range map[string]string{
		"api": api, "list": "[" + api + "]", "history": `{"configurationItems":[` + api + `],"nextToken":"t"}`, "batch": `{"baseConfigurationItems":[` + api + `]}`,
		"snapshot": `{"fileVersion":"1.0","configSnapshotId":"s","configurationItems":[` + event + `]}`, "notification": `{"configurationItem":` + event + `,"messageType":"ConfigurationItemChangeNotification"}`,
		"rule": `{"invokingEvent":` + string(quoted) + `,"version":"1.0"}`, "eventbridge": `{"detail-type":"Config Configuration Item Change","source":"aws.config","detail":{"configurationItem":` + event + `}}`,
	} {
		items, err := New().Read(name, []byte(text))
		if err != nil || len(items) != 1 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if StateID(items[0].Original) != 7 {
			t.Errorf("%s: state %d", name, StateID(items[0].Original))
		}
		items[0].Original = nil
		if d := cmp.Diff(want, items[0]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A deleted resource has no configuration, and neither has one of which only a summary came.
func TestReadWithoutConfiguration(t *testing.T) {
	deleted := `{"resourceType":"AWS::EC2::Volume","resourceId":"vol-1","configurationItemStatus":"ResourceDeleted","configurationItemCaptureTime":1,"configuration":null}`
	summary := `{"messageType":"OversizedConfigurationItemChangeNotification","configurationItemSummary":{"changeType":"UPDATE","configurationItemVersion":"1.3","configurationItemCaptureTime":"2025-06-15T15:06:40.250Z","configurationItemStatus":"OK","resourceType":"AWS::EC2::Volume","resourceId":"vol-1","ARN":"arn:x","awsRegion":"r","awsAccountId":"1"}}`
	for text, gone := range map[string]bool{deleted: true, summary: false} {
		items, err := New().Read("x", []byte(text))
		if err != nil || items[0].Deleted != gone || items[0].Configuration != nil || New().Template(items[0]) != nil {
			t.Errorf("%v %+v", err, items)
		}
	}
}

// What is no configuration item is refused with its place.
func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1}`:      "x.json: no configuration item: there is neither resourceType nor configurationItems",
		"{\n  \"a\": ,": "x.json:2:8: not JSON",
		`{"resourceType":"T","resourceId":"i","configurationItemCaptureTime":"yesterday"}`: `x.json: configuration item 1: configurationItemCaptureTime "yesterday" is not RFC 3339`,
		`{"resourceType":"T","resourceId":"i"}`:                                            "x.json: configuration item 1: there is no configurationItemCaptureTime",
		`{"resourceType":"T","configurationItemCaptureTime":1}`:                            "x.json: configuration item 1: there is no resourceType or no resourceId",
		`{"configurationItems":{}}`:                                                        "x.json:1:23: /configurationItems is not of the kind that a configuration item has there",
		strings.Repeat(`{"detail":`, 9) + "{}" + strings.Repeat("}", 9):                    "items are wrapped too deep",
	} {
		_, err := New().Read("x.json", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\n want %s", text, err, want)
		}
	}
}

// No bytes crash Read, and what it reads has a template that is JSON.
func FuzzRead(f *testing.F) {
	f.Add([]byte(security))
	f.Add([]byte(`{"configurationItems":[{"resourceType":"AWS::S3::Bucket","resourceId":"b","configurationItemCaptureTime":1,"configuration":{},"supplementaryConfiguration":{"BucketPolicy":"{\"policyText\":\"{}\"}","AccessControlList":"[]"}}]}`))
	s := New()
	f.Fuzz(func(t *testing.T, text []byte) {
		items, err := s.Read("x", text)
		if err != nil {
			return
		}
		for _, i := range items {
			if v := s.Template(i); v != nil && !v.IsValid() {
				t.Errorf("%s", v)
			}
		}
	})
}
