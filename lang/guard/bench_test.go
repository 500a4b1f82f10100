package guard

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// template is a template of n resources of five types, a line each.
func template(n int) string {
	var b strings.Builder
	b.WriteString("{\"Resources\": {\n")
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "%q: ", fmt.Sprintf("r%d", i))
		switch i % 5 {
		case 0:
			fmt.Fprintf(&b, `{"Type":"AWS::S3::Bucket","Properties":{"BucketName":"b%d","PublicAccessBlockConfiguration":{"BlockPublicAcls":true},"Tags":[{"Key":"a","Value":"b"}]}}`, i)
		case 1:
			b.WriteString(`{"Type":"AWS::EC2::SecurityGroup","Properties":{"SecurityGroupIngress":[{"IpProtocol":"tcp","FromPort":22,"ToPort":22,"CidrIp":"0.0.0.0/0"},{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"CidrIp":"10.0.0.0/8"}]}}`)
		case 2:
			b.WriteString(`{"Type":"AWS::RDS::DBInstance","Properties":{"Engine":"mysql","StorageEncrypted":false,"PubliclyAccessible":true,"BackupRetentionPeriod":1}}`)
		case 3:
			b.WriteString(`{"Type":"AWS::IAM::Policy","Properties":{"PolicyName":"p","PolicyDocument":{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}}}`)
		case 4:
			b.WriteString(`{"Type":"AWS::EC2::Instance","Properties":{"ImageId":"ami-1","InstanceType":"t3.micro","Monitoring":false,"BlockDeviceMappings":[{"DeviceName":"/dev/xvda","Ebs":{"Encrypted":false}}]}}`)
		}
	}
	b.WriteString("}}\n")
	return b.String()
}

func corpus(b *testing.B) (all []*Rules) {
	folder := compliance(b)
	for _, pattern := range []string{"guard-rules/*/*.guard", "control-tower-guard/rules/*.guard"} {
		for _, file := range glob(b, folder, pattern) {
			r, err := Parse(filepath.Base(file), read(b, file))
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, r)
		}
	}
	return all
}

// The registry's and Control Tower's rules against a template of a thousand resources.
func BenchmarkCorpus(b *testing.B) {
	rules := corpus(b)
	text := []byte(template(1000))
	b.ReportAllocs()
	for b.Loop() {
		doc, err := Load("t.json", text)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range rules {
			r.Check(doc, time.Time{})
		}
	}
	b.ReportMetric(float64(len(rules)), "files")
}

// Parsing all of them.
func BenchmarkParse(b *testing.B) {
	folder := compliance(b)
	files := append(glob(b, folder, "guard-rules/*/*.guard"), glob(b, folder, "control-tower-guard/rules/*.guard")...)
	texts := make([][]byte, len(files))
	for i, f := range files {
		texts[i] = read(b, f)
	}
	for b.Loop() {
		for i, f := range files {
			if _, err := Parse(f, texts[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// A template of a thousand resources is read.
func BenchmarkLoad(b *testing.B) {
	text := []byte(template(1000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Load("t.json", text); err != nil {
			b.Fatal(err)
		}
	}
}
