package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/room/pipeline"
	"golang.org/x/tools/txtar"
)

//go:embed shop.txtar
var shop []byte

// checkout is a person's own copy of the shop.
type checkout struct{ folder, home string }

func (c checkout) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = c.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@shop.example", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@shop.example"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return string(out), err
}

func (c checkout) write(name, text string) error {
	file := filepath.Join(c.folder, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

func (c checkout) commit(ctx context.Context, subject string) error {
	if _, err := c.git(ctx, "add", "-A"); err != nil {
		return err
	}
	_, err := c.git(ctx, "commit", "-q", "-m", subject)
	return err
}

// clone makes Ann's copy, with the shop in it.
func (p *play) clone(ctx context.Context) (c checkout, err error) {
	if c.home, err = os.MkdirTemp("", "haechi-demo"); err != nil {
		return c, err
	}
	c.folder = filepath.Join(c.home, "shop")
	for _, f := range txtar.Parse(shop).Files {
		if err := c.write(f.Name, string(f.Data)); err != nil {
			return c, err
		}
	}
	u, err := url.Parse(p.url + "/git/shop")
	if err != nil {
		return c, err
	}
	u.User = url.UserPassword(ann, p.git.Reveal())
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"remote", "add", "origin", u.String()}} {
		if _, err := c.git(ctx, args...); err != nil {
			return c, err
		}
	}
	return c, c.commit(ctx, "a small shop")
}

// push is the first river: what a push brings is looked at before it is let in, and before it may go on.
func (p *play) push(ctx context.Context) error {
	p.say("1  A push")
	c, err := p.clone(ctx)
	defer os.RemoveAll(c.home)
	if err != nil {
		return err
	}
	if _, err := c.git(ctx, "push", "-q", "origin", "main"); err != nil {
		return err
	}
	if err := p.release(ctx); err != nil {
		return err
	}
	if err := p.pushSecret(ctx, c); err != nil {
		return err
	}
	if err := p.pushVulnerable(ctx, c); err != nil {
		return err
	}
	return p.review(ctx, c)
}

// pushSecret brings an access key in a commit that a later one removes again.
func (p *play) pushSecret(ctx context.Context, c checkout) error {
	if err := c.write("deploy.env", "AWS_ACCESS_KEY_ID="+accessKey()+"\nAWS_SECRET_ACCESS_KEY="+secretKey()+"\n"); err != nil {
		return err
	}
	if err := c.commit(ctx, "deploy from here"); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(c.folder, "deploy.env")); err != nil {
		return err
	}
	if err := c.commit(ctx, "never mind"); err != nil {
		return err
	}
	out, err := c.git(ctx, "push", "origin", "main")
	if err == nil {
		return errors.New("a push with a secret in one of its commits was let in")
	}
	p.say("  refused  an access key, in a commit that a later one removes again:")
	for line := range strings.SplitSeq(out, "\n") {
		if said, ok := strings.CutPrefix(line, "remote:"); ok && strings.TrimSpace(said) != "" {
			p.say("           %s", strings.TrimRight(said, " "))
		}
	}
	_, err = c.git(ctx, "reset", "-q", "--hard", "origin/main")
	return err
}

// pushVulnerable brings a dependency with a known weakness, and then a version that has it no more.
func (p *play) pushVulnerable(ctx context.Context, c checkout) error {
	heard := p.slack.count()
	for _, step := range []struct {
		version, subject string
		want             pipeline.Status
	}{
		{"4.17.15", "search needs lodash", pipeline.Failed},
		{"4.17.21", "a lodash without the weakness", pipeline.Succeeded},
	} {
		if err := c.write("web/package-lock.json", lockfile(step.version)); err != nil {
			return err
		}
		if err := c.commit(ctx, step.subject); err != nil {
			return err
		}
		if _, err := c.git(ctx, "push", "-q", "origin", "HEAD:search"); err != nil {
			return err
		}
		if err := p.run(ctx, "search", step.want); err != nil {
			return err
		}
		if step.want == pipeline.Failed {
			if err := p.hears(ctx, heard, "lodash"); err != nil {
				return err
			}
		}
	}
	return nil
}

func lockfile(version string) string {
	return `{
  "name": "shop-web",
  "version": "1.0.0",
  "lockfileVersion": 3,
  "requires": true,
  "packages": {
    "": {
      "name": "shop-web",
      "version": "1.0.0",
      "dependencies": {
        "lodash": "` + version + `"
      }
    },
    "node_modules/lodash": {
      "version": "` + version + `",
      "license": "MIT"
    }
  }
}
`
}

// run waits for the newest run of a branch to end as it should.
func (p *play) run(ctx context.Context, branch string, want pipeline.Status) error {
	e, err := p.until(ctx, branch, func(e pipeline.Execution) bool { return e.Status.Ended() })
	if err != nil {
		return err
	}
	return p.ended(ctx, e, want)
}

// ended tells of a run that has ended.
func (p *play) ended(ctx context.Context, e pipeline.Execution, want pipeline.Status) error {
	p.say("  %-9s run %d of branch %s: %s (%.1f s)", strings.ToLower(string(e.Status)), e.Number, e.Branch, e.Subject, e.Ended.Sub(e.Created).Seconds())
	for _, why := range e.Reasons {
		p.say("           %s: %s. %s", why.Where, why.Text, why.Do)
	}
	if e.Status != want {
		log, _, _, _ := p.app.Pipeline.Log(ctx, e.ID, 0)
		return fmt.Errorf("run %d ended as %s, not %s\n%s", e.Number, e.Status, want, bytes.TrimSpace(log))
	}
	return nil
}

// logLine is the second river: a trail is stopped by somebody who signed in as root.
func (p *play) logLine(ctx context.Context) error {
	p.say("2  A log line")
	heard, now := p.slack.count(), time.Now().UTC()
	p.say("  sent     CloudTrail: root signs in without MFA, and stops the trail")
	if err := p.post(ctx, "/intake/lines?source=aws.cloudtrail", trailFile(now)); err != nil {
		return err
	}
	return p.hears(ctx, heard, "root")
}

func trailFile(now time.Time) string {
	const identity = `"userIdentity": {"type": "Root", "principalId": "111122223333", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333"}, "awsRegion": "ap-northeast-2", "sourceIPAddress": "198.51.100.23", "recipientAccountId": "111122223333", "readOnly": false, "managementEvent": true, "eventCategory": "Management"`
	event := func(n int, source, name, rest string) string {
		return fmt.Sprintf(`{"eventVersion": "1.11", "eventID": "0f0e0d0c-0000-4000-8000-%012d", "eventTime": %q, "eventSource": %q, "eventName": %q, %s, %s}`,
			n, now.Add(time.Duration(n)*time.Second).Format(time.RFC3339), source, name, identity, rest)
	}
	return `{"Records": [` +
		event(1, "signin.amazonaws.com", "ConsoleLogin", `"eventType": "AwsConsoleSignIn", "userAgent": "Mozilla/5.0", "requestParameters": null, "responseElements": {"ConsoleLogin": "Success"}, "additionalEventData": {"MFAUsed": "No", "LoginTo": "https://console.aws.amazon.com/", "MobileVersion": "No"}`) + "," +
		event(2, "cloudtrail.amazonaws.com", "StopLogging", `"eventType": "AwsApiCall", "userAgent": "aws-cli/2.31", "requestParameters": {"name": "arn:aws:cloudtrail:ap-northeast-2:111122223333:trail/all"}, "responseElements": null`) +
		`]}`
}

// resource is the third river: a bucket is opened to the world, and closed again.
func (p *play) resource(ctx context.Context) error {
	p.say("3  A resource")
	for _, step := range []struct {
		what   string
		public bool
		word   string
	}{
		{"bucket shop-receipts may be read by everybody", true, "shop-receipts"},
		{"the bucket is private again", false, "esolved"},
	} {
		heard := p.slack.count()
		p.say("  seen     %s", step.what)
		if err := p.post(ctx, "/intake/items", bucketItem(time.Now().UTC(), step.public)); err != nil {
			return err
		}
		if err := p.hears(ctx, heard, step.word); err != nil {
			return err
		}
	}
	return nil
}

// bucketItem is a configuration item as AWS Config delivers it.
func bucketItem(now time.Time, public bool) string {
	block := `{"blockPublicAcls": true, "ignorePublicAcls": true, "blockPublicPolicy": true, "restrictPublicBuckets": true}`
	acl := `{"grantSet": null, "grantList": [{"grantee": {"id": "1a2b3c", "displayName": "shop"}, "permission": "FullControl"}], "owner": {"displayName": "shop", "id": "1a2b3c"}}`
	if public {
		block = `{"blockPublicAcls": false, "ignorePublicAcls": false, "blockPublicPolicy": false, "restrictPublicBuckets": false}`
		acl = `{"grantSet": null, "grantList": [{"grantee": {"id": "1a2b3c", "displayName": "shop"}, "permission": "FullControl"}, {"grantee": "AllUsers", "permission": "Read"}], "owner": {"displayName": "shop", "id": "1a2b3c"}}`
	}
	quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
	return fmt.Sprintf(`{"configurationItems": [{"version": "1.3", "accountId": "111122223333", "configurationItemCaptureTime": %q, "configurationItemStatus": "OK", "configurationStateId": "%d",
"arn": "arn:aws:s3:::shop-receipts", "resourceType": "AWS::S3::Bucket", "resourceId": "shop-receipts", "resourceName": "shop-receipts", "awsRegion": "ap-northeast-2", "availabilityZone": "Regional", "tags": {"team": "shop"}, "relatedEvents": [], "relationships": [],
"configuration": {"name": "shop-receipts", "owner": {"displayName": "shop", "id": "1a2b3c"}, "creationDate": "2026-01-02T03:04:05.000Z"},
"supplementaryConfiguration": {"AccessControlList": %s, "PublicAccessBlockConfiguration": %s, "BucketPolicy": {"policyText": null},
"ServerSideEncryptionConfiguration": {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}, "bucketKeyEnabled": true}]}}}]}`,
		now.Format(time.RFC3339Nano), now.UnixMilli(), quoted(acl), block)
}

// accessKey is a new access key id that belongs to nobody.
func accessKey() string {
	var raw [10]byte
	rand.Read(raw[:])
	return "AKIA" + base32.StdEncoding.EncodeToString(raw[:])
}

// secretKey is 40 random characters, as the secrets of access keys are.
func secretKey() string {
	var raw [30]byte
	rand.Read(raw[:])
	return base64.StdEncoding.EncodeToString(raw[:])
}
