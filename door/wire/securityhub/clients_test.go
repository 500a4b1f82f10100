package securityhub_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/haechi-dev/haechi/base/sigv4/sigv4test"
	"github.com/haechi-dev/haechi/door/wire/securityhub"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
)

// Prowler's five calls, as it makes them: is the hub on, is Prowler let in,
// import by hundreds, find what is active, and send back whole and archived
// what this run did not see.
const prowlerFlow = `
import datetime
account, region = '111122223333', 'eu-west-1' # not the hub's own: one hub answers for all regions
hub = boto3.client('securityhub', region_name=region, endpoint_url=client('securityhub').meta.endpoint_url)
product = f'arn:aws:securityhub:{region}::product/prowler/prowler'
arn = hub.describe_hub()['HubArn']
assert arn == f'arn:aws:securityhub:{region}:{account}:hub/default', arn
hub.tag_resource(ResourceArn=arn, Tags={'a': 'b'})
assert hub.list_tags_for_resource(ResourceArn=arn)['Tags'] == {'a': 'b'}
subscription = f'arn:aws:securityhub:{region}:{account}:product-subscription/prowler/prowler'
assert subscription in str(hub.list_enabled_products_for_import()['ProductSubscriptions'])

def run(ids, failed):
    now = datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
    return [{
        'SchemaVersion': '2018-10-08', 'Id': f'prowler-check-{account}-{region}-{i}', 'ProductArn': product, 'RecordState': 'ACTIVE',
        'ProductFields': {'ProviderName': 'Prowler', 'ProviderVersion': '5.0.0', 'ProwlerResourceName': f'bucket-{i}'}, 'GeneratorId': 'prowler-s3_bucket_public_access',
        'AwsAccountId': account, 'Types': ['Software and Configuration Checks'], 'FirstObservedAt': now, 'UpdatedAt': now, 'CreatedAt': now, 'Severity': {'Label': 'HIGH'},
        'Title': 'Ensure there are no public buckets', 'Description': f'bucket-{i} is public',
        'Resources': [{'Type': 'AwsS3Bucket', 'Id': f'arn:aws:s3:::bucket-{i}', 'Partition': 'aws', 'Region': region, 'Tags': {'env': 'prod'}}],
        'Compliance': {'Status': 'FAILED' if failed else 'PASSED', 'RelatedRequirements': ['CIS 2.1.5'], 'AssociatedStandards': [{'StandardsId': 'CIS-1.5'}]},
        'Remediation': {'Recommendation': {'Text': 'close it', 'Url': 'https://example.com'}},
    } for i in ids]

def send(findings):
    done = 0
    for at in range(0, len(findings), 100):
        answer = hub.batch_import_findings(Findings=findings[at:at + 100])
        assert answer['FailedCount'] == 0, answer['FailedFindings'][0]
        done += answer['SuccessCount']
    return done

first = run(range(250), True)
print('imported', send(first))
import time; time.sleep(1.1)
second = run(range(200), True)
print('imported', send(second))
seen = {f['Id'] for f in second}
filters = {'ProductName': [{'Value': 'Prowler', 'Comparison': 'EQUALS'}], 'RecordState': [{'Value': 'ACTIVE', 'Comparison': 'EQUALS'}],
           'AwsAccountId': [{'Value': account, 'Comparison': 'EQUALS'}], 'Region': [{'Value': region, 'Comparison': 'EQUALS'}]}
archive = []
for page in hub.get_paginator('get_findings').paginate(Filters=filters, PaginationConfig={'PageSize': 100}):
    for f in page['Findings']:
        if f['Id'] not in seen:
            f['RecordState'] = 'ARCHIVED'
            f['UpdatedAt'] = datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
            archive.append(f)
time.sleep(1.1)
for f in archive:
    f['UpdatedAt'] = datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
print('archived', send(archive))
active = sum(len(p['Findings']) for p in hub.get_paginator('get_findings').paginate(Filters=filters))
print('active', active)
hub.disable_security_hub()
try:
    hub.describe_hub()
except hub.exceptions.InvalidAccessException as e:
    print(e.response['Error']['Message'])
`

func TestProwler(t *testing.T) {
	t.Parallel()
	s := wiretest.Serve(t, wiretest.Options{}, securityhub.Service(newHub(t)))
	out, problems, err := s.Python(t, prowlerFlow)
	want := "imported 250\nimported 200\narchived 50\nactive 200\nAccount 111122223333 is not subscribed to AWS Security Hub\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s\n%s\nwant %s", err, out, problems, want)
	}
}

// Each error is the exception that boto3 has for it.
func TestBotoErrors(t *testing.T) {
	t.Parallel()
	s := wiretest.Serve(t, wiretest.Options{}, securityhub.Service(newHub(t)))
	out, problems, err := s.Python(t, `
h = client('securityhub')
def raised(f, **arguments):
    try: f(**arguments)
    except botocore.exceptions.ClientError as e: return type(e).__name__
print(raised(h.enable_security_hub), raised(h.delete_insight, InsightArn='arn:gone'), raised(h.get_findings, NextToken='x'), raised(h.list_members),
    raised(h.delete_action_target, ActionTargetArn='arn:gone'), raised(h.create_action_target, Name='x', Description='y', Id='not-good'))
`)
	want := "ResourceConflictException ResourceNotFoundException InvalidInputException ClientError ResourceNotFoundException InvalidInputException"
	if err != nil || strings.TrimSpace(out) != want {
		t.Errorf("%v\n got %s%s\nwant %s", err, out, problems, want)
	}
}

// The aws commands that were recorded are run again, by every aws command of this machine.
func TestRealClients(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile(filepath.Join(sigv4test.Folder(t), "commands.txt"))
	if err != nil {
		t.Fatal(err)
	}
	clients := wiretest.Clients(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	ran := 0
	for _, c := range clients {
		s := wiretest.Serve(t, wiretest.Options{}, securityhub.Service(newHub(t)))
		wait.Go(func() {
			for line := range strings.Lines(string(file)) {
				_, command, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
				if !ok || !strings.HasPrefix(command, "securityhub ") || strings.Contains(command, "-v2") { // V2 is said to be missing at once
					continue
				}
				arguments := strings.Fields(command)
				for i, a := range arguments {
					arguments[i] = strings.ReplaceAll(a, `\u0020`, " ")
				}
				_, problems, err := c.Run(t, s, arguments...)
				mu.Lock()
				switch {
				case err == nil, strings.Contains(problems, "(NotImplemented)"), strings.Contains(problems, "(501)"):
				case strings.Contains(problems, "Exception) when calling"): // a modelled refusal: what is recorded asks for things that are not there
				case c.Old && strings.Contains(problems, "Invalid choice"): // its model is older than the operation
				default:
					t.Errorf("%s %s: %v %s", c.Path, command, err, problems)
				}
				ran++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	t.Logf("%d aws commands run with %d clients", ran, len(clients))
}
