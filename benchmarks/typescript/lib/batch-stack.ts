import * as cdk from 'aws-cdk-lib';
import * as batch from 'aws-cdk-lib/aws-batch';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import { Construct } from 'constructs';

interface BatchStackProps {
  environmentSuffix: string;
  vpc: ec2.Vpc;
  modelBucket: s3.Bucket;
  ecrRepository: ecr.Repository;
}

export class BatchStack extends cdk.NestedStack {
  public readonly batchRole: iam.Role;

  constructor(scope: Construct, id: string, props: BatchStackProps) {
    super(scope, id);

    // IAM Role for Batch Jobs
    this.batchRole = new iam.Role(this, 'BatchJobRole', {
      assumedBy: new iam.ServicePrincipal('batch.amazonaws.com'),
      managedPolicies: [
        iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AWSBatchServiceRole'),
      ],
    });

    const instanceRole = new iam.Role(this, 'BatchInstanceRole', {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: [
        iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AmazonEC2ContainerServiceforEC2Role'),
      ],
    });

    props.modelBucket.grantRead(instanceRole);
    props.ecrRepository.grantPull(instanceRole);

    const instanceProfile = new iam.CfnInstanceProfile(this, 'BatchInstanceProfile', {
      roles: [instanceRole.roleName],
    });

    const securityGroup = new ec2.SecurityGroup(this, 'BatchSecurityGroup', {
      vpc: props.vpc,
      description: 'Security group for Batch compute environment',
      allowAllOutbound: true,
    });

    // Compute Environment
    const computeEnvironment = new batch.CfnComputeEnvironment(this, 'ComputeEnvironment', {
      type: 'MANAGED',
      state: 'ENABLED',
      computeEnvironmentName: `batch-inference-${props.environmentSuffix}`,
      serviceRole: this.batchRole.roleArn,
      computeResources: {
        type: 'EC2_SPOT',
        minvCpus: 0,
        maxvCpus: 256,
        desiredvCpus: 4,
        instanceTypes: ['optimal'],
        subnets: props.vpc.privateSubnets.map(subnet => subnet.subnetId),
        securityGroupIds: [securityGroup.securityGroupId],
        instanceRole: instanceProfile.attrArn,
        spotIamFleetRole: new iam.Role(this, 'SpotFleetRole', {
          assumedBy: new iam.ServicePrincipal('spotfleet.amazonaws.com'),
          managedPolicies: [
            iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AmazonEC2SpotFleetTaggingRole'),
          ],
        }).roleArn,
        bidPercentage: 80,
      },
    });

    // Job Queue
    const jobQueue = new batch.CfnJobQueue(this, 'JobQueue', {
      priority: 1,
      jobQueueName: `inference-queue-${props.environmentSuffix}`,
      state: 'ENABLED',
      computeEnvironmentOrder: [
        {
          order: 1,
          computeEnvironment: computeEnvironment.ref,
        },
      ],
    });

    // Job Definition for inference
    const jobDefinition = new batch.CfnJobDefinition(this, 'JobDefinition', {
      type: 'container',
      jobDefinitionName: `inference-job-${props.environmentSuffix}`,
      containerProperties: {
        image: `${props.ecrRepository.repositoryUri}:latest`,
        vcpus: 4,
        memory: 8192,
        jobRoleArn: new iam.Role(this, 'JobExecutionRole', {
          assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
          inlinePolicies: {
            JobPolicy: new iam.PolicyDocument({
              statements: [
                new iam.PolicyStatement({
                  actions: ['s3:GetObject', 's3:PutObject'],
                  resources: [`${props.modelBucket.bucketArn}/*`],
                }),
              ],
            }),
          },
        }).roleArn,
      },
      retryStrategy: {
        attempts: 3,
      },
      timeout: {
        attemptDurationSeconds: 3600,
      },
    });
  }
}
