package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
)

// reference is the npm package that ships the reference implementation's binary.
const reference = "@cdklabs/cdk-validator-cfnguard@0.0.62"

// patience is how long the reference may take for one measurement.
const patience = 10 * time.Minute

// guards measures Guard beside the reference binary, in the same run, and the scan of a
// Terraform plan. HAECHI_TESTDATA is the folder of rules; the reference is fetched by
// npm pack, and left out where that does not work or GUARD_REFERENCE is "none".
func guards(program string) error {
	data := filepath.Join(os.Getenv("HAECHI_TESTDATA"), "compliance")
	if _, err := os.Stat(data); err != nil {
		return errors.New("HAECHI_TESTDATA names no folder with compliance/")
	}
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	cfnGuard := fetchReference()
	if err := rulesTimesResources(program, cfnGuard, data, folder); err != nil {
		return err
	}
	if err := registryTests(program, cfnGuard, data); err != nil {
		return err
	}
	return scanPlan(program, folder)
}

// fetchReference is the path of the reference binary, or "".
func fetchReference() string {
	if os.Getenv("GUARD_REFERENCE") == "none" {
		return ""
	}
	if path := os.Getenv("GUARD_REFERENCE"); path != "" {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	dir := filepath.Join(cache, "haechi-bench")
	binary := filepath.Join(dir, "cfn-guard")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ""
	}
	pack := exec.Command("npm", "pack", "--silent", reference)
	pack.Dir = dir
	out, err := pack.Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: the reference is left out: npm pack:", err)
		return ""
	}
	if err := unpackBinary(filepath.Join(dir, strings.TrimSpace(string(out))), binary); err != nil {
		fmt.Fprintln(os.Stderr, "bench: the reference is left out:", err)
		return ""
	}
	return binary
}

// unpackBinary takes the binary for this system out of the package.
func unpackBinary(archive, to string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	system := map[string]string{"linux": "ubuntu", "darwin": "macos"}[runtime.GOOS] + "/" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "/cfn-guard"
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("%s: no binary for %s: %w", archive, runtime.GOOS, err)
		}
		if h.Typeflag != tar.TypeReg || !strings.HasSuffix(h.Name, "/"+system) {
			continue
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, r); err != nil {
			return err
		}
		return out.Close()
	}
}

// spent is what a process took.
type spent struct {
	wall, cpu time.Duration
	memory    int64 // bytes
	out       int64
	cut       bool // it was stopped
}

func (s spent) String() string {
	cut := ""
	if s.cut {
		cut = " when it was stopped"
	}
	return fmt.Sprintf("%.2f s of CPU, %.2f s, %d MB RSS, %.1f MB of output%s", s.cpu.Seconds(), s.wall.Seconds(), s.memory/1e6, float64(s.out)/1e6, cut)
}

// counter counts what is written.
type counter struct {
	n    int64
	last []byte
}

// Write counts.
func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	c.last = append(c.last, b...)
	if len(c.last) > 4096 {
		c.last = c.last[len(c.last)-4096:]
	}
	return len(b), nil
}

func run(program string, args ...string) (spent, string, error) {
	cmd := exec.Command(program, args...)
	var out counter
	cmd.Stdout = &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return spent{}, "", err
	}
	stop := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	var code *exec.ExitError
	if err != nil && !errors.As(err, &code) {
		return spent{}, "", err
	}
	s := spent{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), out: out.n, cut: time.Since(began) >= patience}
	s.memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss * 1024
	return s, string(out.last), nil
}

// rulesTimesResources holds all rule files against a template of a thousand resources.
func rulesTimesResources(program, cfnGuard, data, folder string) error {
	rules := filepath.Join(folder, "rules")
	n := 0
	for _, pattern := range []string{"guard-rules/*/*.guard", "control-tower-guard/rules/*.guard"} {
		files, err := filepath.Glob(filepath.Join(data, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			to := filepath.Join(rules, fmt.Sprintf("%03d-%s", n, filepath.Base(file)))
			if err := os.MkdirAll(rules, 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(to, text, 0o600); err != nil {
				return err
			}
			n++
		}
	}
	template := filepath.Join(folder, "template.json")
	if err := os.WriteFile(template, []byte(thousand(1000)), 0o600); err != nil {
		return err
	}
	ours, _, err := run(program, "guard", "check", "-format", "json", rules, template)
	if err != nil {
		return err
	}
	fmt.Printf("guard: %d rule files × 1,000 resources: haechi %v\n", n, ours)
	if cfnGuard == "" {
		return nil
	}
	theirs, _, err := run(cfnGuard, "validate", "-r", rules, "-d", template, "--structured", "-o", "json", "-S", "none")
	if err != nil {
		return err
	}
	fmt.Printf("guard: the same: cfn-guard %v: %.0f times ours\n", theirs, theirs.cpu.Seconds()/ours.cpu.Seconds())
	return nil
}

// thousand is a template of n resources of five types, a line each.
func thousand(n int) string {
	bodies := []string{
		`{"Type":"AWS::S3::Bucket","Properties":{"BucketName":"b","PublicAccessBlockConfiguration":{"BlockPublicAcls":true},"Tags":[{"Key":"a","Value":"b"}]}}`,
		`{"Type":"AWS::EC2::SecurityGroup","Properties":{"SecurityGroupIngress":[{"IpProtocol":"tcp","FromPort":22,"ToPort":22,"CidrIp":"0.0.0.0/0"},{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"CidrIp":"10.0.0.0/8"}]}}`,
		`{"Type":"AWS::RDS::DBInstance","Properties":{"Engine":"mysql","StorageEncrypted":false,"PubliclyAccessible":true,"BackupRetentionPeriod":1}}`,
		`{"Type":"AWS::IAM::Policy","Properties":{"PolicyName":"p","PolicyDocument":{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}}}`,
		`{"Type":"AWS::EC2::Instance","Properties":{"ImageId":"ami-1","InstanceType":"t3.micro","Monitoring":false,"BlockDeviceMappings":[{"DeviceName":"/dev/xvda","Ebs":{"Encrypted":false}}]}}`,
	}
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("%q: %s", fmt.Sprintf("r%d", i), bodies[i%len(bodies)]))
	}
	return "{\"Resources\": {\n" + strings.Join(lines, ",\n") + "}}\n"
}

// registryTests runs the tests of the rules registry.
func registryTests(program, cfnGuard, data string) error {
	folder := filepath.Join(data, "guard-rules")
	var best spent
	var cases int
	for range 5 {
		s, out, err := run(program, "guard", "test", "-format", "json", folder)
		if err != nil {
			return err
		}
		var told struct{ Cases, Expectations, Met int }
		if err := json.Unmarshal([]byte(out), &told, json.MatchCaseInsensitiveNames(true)); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if cases = told.Cases; best.cpu == 0 || s.cpu < best.cpu {
			best = s
		}
	}
	fmt.Printf("guard: the registry's tests, %d cases: haechi %v: %.0f cases/s of wall clock, %.0f of CPU, start of the process included\n", cases, best, float64(cases)/best.wall.Seconds(), float64(cases)/best.cpu.Seconds())
	if cfnGuard == "" {
		return nil
	}
	theirs, _, err := run(cfnGuard, "test", "-d", folder)
	if err != nil {
		return err
	}
	fmt.Printf("guard: the same: cfn-guard %v: %.0f cases/s\n", theirs, float64(cases)/theirs.wall.Seconds())
	return nil
}

// scanPlan scans a Terraform plan of five thousand resources.
func scanPlan(program, folder string) error {
	tree := filepath.Join(folder, "plan")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree, "plan.json"), []byte(planOf(5000)), 0o600); err != nil {
		return err
	}
	var best spent
	var last string
	for range 3 {
		s, out, err := run(program, "scan", "-only", "iac", "-format", "json", "-fail-on", "none", tree)
		if err != nil {
			return err
		}
		if last = out; best.cpu == 0 || s.wall < best.wall {
			best = s
		}
	}
	if len(last) < 100 {
		return errors.New("the scan of the plan finds nothing")
	}
	fmt.Printf("guard: a Terraform plan of 5,000 resources: haechi %v\n", best)
	return nil
}

// planOf is what terraform show -json writes of a plan with n resources.
func planOf(n int) string {
	bodies := []string{
		`"type":"aws_s3_bucket","values":{"bucket":"b%d","acl":"private","tags":{"team":"shop"},"force_destroy":false,"versioning":[]}`,
		`"type":"aws_security_group","values":{"name":"g%d","vpc_id":"vpc-1","ingress":[{"from_port":22,"to_port":22,"protocol":"tcp","cidr_blocks":["0.0.0.0/0"],"ipv6_cidr_blocks":[],"self":false}],"egress":[]}`,
		`"type":"aws_db_instance","values":{"identifier":"d%d","engine":"postgres","storage_encrypted":false,"publicly_accessible":true,"multi_az":false,"backup_retention_period":1}`,
		`"type":"aws_iam_policy","values":{"name":"p%d","policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}"}`,
		`"type":"aws_instance","values":{"ami":"ami-%d","instance_type":"t3.micro","monitoring":false,"ebs_block_device":[{"device_name":"/dev/xvda","encrypted":false}],"metadata_options":[]}`,
	}
	var resources, changes []string
	for i := range n {
		body := fmt.Sprintf(bodies[i%len(bodies)], i)
		kind, _, _ := strings.Cut(strings.TrimPrefix(body, `"type":"`), `"`)
		address := fmt.Sprintf("%s.r%d", kind, i)
		resources = append(resources, fmt.Sprintf(`{"address":%q,"mode":"managed","name":"r%d","provider_name":"registry.terraform.io/hashicorp/aws",%s}`, address, i, body))
		changes = append(changes, fmt.Sprintf(`{"address":%q,"mode":"managed","type":%q,"change":{"actions":["create"],"before":null,"after_unknown":{"id":true,"arn":true}}}`, address, kind))
	}
	return `{"format_version":"1.2","terraform_version":"1.9.8","planned_values":{"root_module":{"resources":[` + strings.Join(resources, ",\n") + `]}},"resource_changes":[` + strings.Join(changes, ",\n") + "]}\n"
}
