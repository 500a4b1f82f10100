package logs_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/door/wire/wiretest"
)

// The aws commands of both versions read, filter and tail logs.
func TestCommands(t *testing.T) {
	for i, client := range wiretest.Clients(t) {
		t.Run(fmt.Sprint("cli-", i), func(t *testing.T) {
			t.Parallel()
			h := open(t, nil)
			h.say("/aws/codebuild/shop", "b1", "installing", "ERROR 404 none")
			h.say("/aws/codebuild/shop", "b2", "ERROR 500 broken")
			h.say("/aws/codebuild/shop", "b1", "done")
			aws := func(arguments ...string) string {
				t.Helper()
				out, problems, err := client.Run(t, h.Server, append([]string{"logs"}, arguments...)...)
				if err != nil {
					return problems
				}
				return strings.TrimSpace(out)
			}
			seconds := func(n int) string { return began.Add(time.Duration(n) * time.Second).Format("2006-01-02T15:04:05") }
			cases := [][2]string{
				{aws("describe-log-groups", "--query", "logGroups[].logGroupName", "--output", "text"), "/aws/codebuild/shop"},
				{aws("describe-log-streams", "--log-group-name", "/aws/codebuild/shop", "--page-size", "1", "--query", "logStreams[].logStreamName", "--output", "text"), "b1\nb2"},
				{aws("get-log-events", "--log-group-name", "/aws/codebuild/shop", "--log-stream-name", "b1", "--query", "events[].message", "--output", "json"), "[\n    \"installing\\n\",\n    \"ERROR 404 none\\n\",\n    \"done\\n\"\n]"},
				{aws("filter-log-events", "--log-group-name", "/aws/codebuild/shop", "--filter-pattern", "ERROR -broken", "--query", "events[].[logStreamName,message]", "--output", "json"), "[\n    [\n        \"b1\",\n        \"ERROR 404 none\\n\"\n    ]\n]"},
				{aws("test-metric-filter", "--filter-pattern", "[level = E*, code]", "--log-event-messages", "ERROR 404", "INFO 1", "--query", "matches[].extractedValues.\"$code\"", "--output", "text"), "404"},
				{aws("list-tags-log-group", "--log-group-name", "/aws/codebuild/shop", "--output", "json"), "{\n    \"tags\": {}\n}"},
				{aws("filter-log-events", "--log-group-name", "none"), "ResourceNotFoundException"},
				{aws("filter-log-events", "--log-group-name", "/aws/codebuild/shop", "--filter-pattern", "a:b"), "Invalid character(s) in term ':'"},
			}
			if client.Old { // version 1 of the command has no tail
				cases = append(cases, [2]string{aws("tail", "/aws/codebuild/shop", "--since", seconds(0), "--format", "short"),
					seconds(1) + " installing\n" + seconds(1) + " ERROR 404 none\n" + seconds(2) + " ERROR 500 broken\n" + seconds(3) + " done"})
			}
			for _, c := range cases {
				if c[0] != c[1] && !(strings.Contains(c[0], "An error occurred") && strings.Contains(c[0], c[1])) {
					t.Errorf("got %q, want %q", c[0], c[1])
				}
			}
		})
	}
}

// boto3 goes through pages, and raises each error as its own class.
func TestBoto3(t *testing.T) {
	h := open(t, nil)
	for i := range 5 {
		h.say("/aws/codebuild/shop", fmt.Sprint("b", i%2), fmt.Sprint("line ", i), "error of it")
	}
	out, problems, err := h.Python(t, fmt.Sprintf(`
c = client('logs')
g = '/aws/codebuild/shop'
print([s['logStreamName'] for p in c.get_paginator('describe_log_streams').paginate(logGroupName=g, orderBy='LastEventTime', descending=True, PaginationConfig={'PageSize': 1}) for s in p['logStreams']])
events = [e for p in c.get_paginator('filter_log_events').paginate(logGroupName=g, filterPattern='?"line 1" ?"line 3"', PaginationConfig={'PageSize': 1}) for e in p['events']]
print([(e['logStreamName'], e['message']) for e in events], type(events[0]['timestamp']).__name__, len(events[0]['eventId']))
page = c.get_log_events(logGroupName=g, logStreamName='b1', startFromHead=True, limit=3)
print([e['message'] for e in page['events']])
q = c.start_query(logGroupNames=[g], startTime=0, endTime=%d, queryString='filter @message like /error/ | stats count(*) as n by @logStream | sort n desc')
r = c.get_query_results(queryId=q['queryId'])
print(r['status'], [[f['value'] for f in row] for row in r['results']], r['statistics']['recordsMatched'])
page = c.get_log_events(logGroupName=g, logStreamName='b1', nextToken=page['nextForwardToken'])
print([e['message'] for e in page['events']])
again = c.get_log_events(logGroupName=g, logStreamName='b1', nextToken=page['nextForwardToken'])
print(again['nextForwardToken'] == page['nextForwardToken'], again['events'])
arn = c.list_log_groups()['logGroups'][0]['logGroupArn']
print(c.describe_log_groups(logGroupIdentifiers=[arn])['logGroups'][0]['arn'] == arn + ':*', c.list_tags_for_resource(resourceArn=arn)['tags'])
for call, kw in ((c.get_log_events, dict(logGroupName=g, logStreamName='x')), (c.start_query, dict(logGroupName=g, startTime=0, endTime=1, queryString='x')), (c.test_metric_filter, dict(filterPattern='{', logEventMessages=['x'])), (c.delete_log_group, dict(logGroupName=g))):
    try: call(**kw)
    except Exception as e: print(type(e).__name__)
`, time.Now().Unix()))
	if err != nil {
		t.Fatalf("%v %s", err, problems)
	}
	want := `['b0', 'b1']
[('b1', 'line 1\n'), ('b1', 'line 3\n')] int 56
['line 1\n', 'error of it\n', 'line 3\n']
Complete [['b0', '3'], ['b1', '2']] 5
['error of it\n']
True []
True {}
ResourceNotFoundException
MalformedQueryException
InvalidParameterException
ClientError
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// boto3 and version 1 of the command follow what is logged while it is.
func TestLiveTail(t *testing.T) {
	h := open(t, nil)
	h.say("/aws/codebuild/shop", "b1", "before")
	h.pass(time.Since(h.clock())) // the house's time is ours from now on
	ended := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
				h.say("/aws/codebuild/shop", "b1", fmt.Sprint("line ", i), fmt.Sprint("ERROR ", i))
			}
		}
	})
	defer func() { close(ended); wait.Wait() }()
	out, problems, err := h.Python(t, fmt.Sprintf(`
c = boto3.client('logs', endpoint_url=%q, config=Config(inject_host_prefix=False))
arn = c.describe_log_groups()['logGroups'][0]['logGroupArn']
got = []
for event in c.start_live_tail(logGroupIdentifiers=[arn], logStreamNamePrefixes=['b'], logEventFilterPattern='ERROR')['responseStream']:
    if 'sessionStart' in event: print(event['sessionStart']['logGroupIdentifiers'], event['sessionStart']['logEventFilterPattern'])
    else: got += event['sessionUpdate']['sessionResults']
    if len(got) > 3: break
print(all(e['message'].startswith('ERROR ') and e['logStreamName'] == 'b1' for e in got))
n = [int(e['message'].split()[1]) for e in got]
print(n == list(range(n[0], n[0] + len(n))))
for kw in (dict(logGroupIdentifiers=[arn + 'x']), dict(logGroupIdentifiers=[arn], logEventFilterPattern='(')):
    try: c.start_live_tail(**kw)
    except Exception as e: print(type(e).__name__)
`, h.URL))
	if err != nil {
		t.Fatalf("%v %s", err, problems)
	}
	want := "['" + wiretest.Account + ":/aws/codebuild/shop'] ERROR\nTrue\nTrue\nResourceNotFoundException\nInvalidParameterException\n"
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}
