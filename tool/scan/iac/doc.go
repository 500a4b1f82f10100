// Package iac reads infrastructure that is written down and not made yet, and holds it against rules.
//
// Every kind of file becomes one document for rules, in the shape of a
// CloudFormation template: Resources, each with Type and Properties (and Metadata,
// DependsOn … where the file has them). Rules select by Type. What cannot be known
// before it is made is unknown, with the reason: a rule that depends on it is
// neither kept nor broken. What is unknown because it refers to another resource
// of the document is also what a template says, so that rules can follow it:
// {Ref: ID} for its name or id, {"Fn::GetAtt": [ID, Attribute]} for anything else.
//
// # CloudFormation, SAM, CDK
//
// The resource's own Type and Properties, with parameters (their defaults),
// mappings, conditions and intrinsic functions put in. A resource whose condition
// does not hold is not there. SAM's types become what SAM makes of them
// (AWS::Serverless::Function → AWS::Lambda::Function, AWS::IAM::Role), and a nested
// stack whose file is in the tree is put in with its parameters, its resources
// called Stack.ID.
//
// # Terraform, as HCL or plan
//
//	aws_s3_bucket.logs            Type AWS::S3::Bucket, Properties as CloudFormation has them
//
// The ID is Terraform's address. A type that the table terraform.yaml does not
// have is Haechi::Terraform::TYPE (Haechi::Terraform::google_storage_bucket), its
// Properties the arguments as Terraform calls them; a nested block that may come
// more than once is a list. What Terraform keeps apart and CloudFormation does not
// (aws_s3_bucket_versioning, aws_security_group_rule) is put into the resource that
// it belongs to, where that is in the document.
//
// # Kubernetes, and what Helm renders
//
//	Deployment/shop/web           Type Haechi::Kubernetes::Deployment, Properties the object as it is
//	Pod/shop/web of Deployment    Type Haechi::Kubernetes::Pod
//
// The ID is Kind/namespace/name, or Kind/name where no namespace stands. For each
// pod template (of a Deployment, DaemonSet, StatefulSet, ReplicaSet,
// ReplicationController, Job, CronJob or PodTemplate) there is a second resource of
// Type Haechi::Kubernetes::Pod with Properties {apiVersion: v1, kind: Pod,
// metadata, spec}, so that rules about pods are about these only. The items of a
// List are resources of their own.
//
// # Dockerfiles
//
// One resource of Type Haechi::Docker::File, its ID the path. Properties:
//
//	Stages:          one map each
//	  - Name         after AS, or absent
//	    Index        0, 1 …
//	    Final        true for the last, which becomes the image
//	    Image        after FROM without tag and digest: docker.io's are as written (golang, org/app)
//	    Registry     the host of Image, or docker.io
//	    Tag, Digest  absent where none stands
//	    Platform     of --platform, or absent
//	    From         the name of the earlier stage that this one begins with, or absent; such a stage has no Image
//	    User         of the last USER of the stage or, where it has none, of the stage it begins with; absent where no USER stands
//	    Healthcheck  true where the stage has one
//	    Instructions those of the stage, as below
//	Instructions:    all of them (those before the first FROM too)
//	  - Instruction  FROM, RUN, COPY … in capitals
//	    Text         what follows it, continued lines joined, heredocs included, with ARGs that have a default put in
//	    Stage        the index of its stage, -1 before the first FROM
//	    Flags        map of --name=value, values as text; a list where one comes twice
//	    Exec         the words of the JSON form, or absent
//	    Arguments    the words of the other form: sources and destination of COPY and ADD, ports of EXPOSE …
//	    Variables    of ENV, ARG and LABEL: list of {Name, Value}; Value absent where an ARG has none
//	    Shell        of RUN, CMD, ENTRYPOINT: the shell that runs the text, a list ([/bin/sh, -c])
//	    Commands     of RUN, CMD, ENTRYPOINT, as below
//
// A Command is one simple command of a shell script:
//
//	Name       the program without its folder: apt-get
//	Text       as written
//	Arguments  the words after the name, quotes taken off; unknown where a variable stands
//	Flags      those of Arguments that begin with -, single letters apart: -yq is -y and -q
//	Words      those of Arguments that do not
//	Pipe       the Name of the command that its output goes to, or absent
//	From       the Name of the command whose output it reads, or absent
//	Assigns    NAME=value before it: list of {Name, Value}
//
// sudo, env, exec, time and command are commands of their own, and what they run
// is a command beside them with Under: sudo.
//
// # Compose files
//
//	web                           Type Haechi::Compose::Service, Properties the service
//
// with ${NAME:-default} put in, and with the long forms: ports [{target,
// published, host_ip, protocol}], volumes [{type, source, target, read_only}],
// environment and labels a map, command, entrypoint, cap_add … as written.
//
// A text with variables that have no value here is unknown, in compose files and
// Dockerfiles; it is also {Variable: the text}.
//
// # GitHub Actions
//
//	.github/workflows/ci.yml      Type Haechi::GitHub::Workflow
//	  Name
//	  On             map of event to its settings (an empty map where there are none), whichever form is written
//	  Permissions    map of scope to read, write or none; or the text read-all or write-all; absent where none stands
//	  Env, Defaults, Concurrency as written
//	  Jobs           list of the properties of its jobs
//	.github/workflows/ci.yml build  Type Haechi::GitHub::Job, one each
//	  ID, Name, If, Env, Environment, Needs (list), RunsOn (list of labels), Outputs, Strategy, Container, Services, Secrets, With
//	  On             the workflow's
//	  Permissions    what counts: the job's, else the workflow's; absent where neither says
//	  Uses           of a reusable workflow: as a step's
//	  Steps          list:
//	    - ID, Name, If, Env, With, Shell, ContinueOnError
//	      Run          the script, expressions as written
//	      Commands     of Run, as above, where the shell is bash, sh or not said
//	      Uses         {Text, Kind: repository, local or docker, Owner, Repository, Path, Ref, Pinned}; Pinned is true for a
//	                   full commit hash or an image digest
//	      Expressions  list of {Text: what stands within ${{ }}, In: run, with.NAME, env.NAME, if …, Contexts: list of the
//	                   contexts that it reads: github.event.issue.title, secrets.TOKEN; indexes written as .*}
//	action.yml                    Type Haechi::GitHub::Action: Name, Inputs, Runs (as written) and Steps (as above, of a composite one)
//
// # Buildspec
//
//	buildspec.yml                 Type Haechi::CodeBuild::Buildspec
//	  Version, RunAs, Env (as written: variables, parameter-store, secrets-manager …), Artifacts, Reports, Cache, Batch, Proxy as written
//	  Phases         map of phase to {RunAs, OnFailure, Runtimes, Commands: list of texts, Finally: list of texts}
//	  Commands       list of commands as above, each with Phase
package iac
