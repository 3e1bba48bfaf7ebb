#!lua name=lambda_1
